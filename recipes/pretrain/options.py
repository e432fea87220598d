"""The options of ``python -m recipes.pretrain``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from motionbeat_upstream.commands.command import Parser
from motionbeat_upstream.errors import MotionBeatError

CONFIGS = Path(__file__).parent / "configs"
"""Where a configuration is looked for by its name alone."""


class _Overrides(argparse.Action):
    """fairseq2's parsing of NAME=VALUE, which is imported where there is something to parse."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        from fairseq2.utils.argparse import ConfigAction

        ConfigAction(list(self.option_strings), self.dest)(parser, namespace, values, option)


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    names = sorted(str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.yaml"))
    made = Parser("python -m recipes.pretrain", description="Pretrain MotionBeat, or go on with a run.")
    made.add_argument("folder", type=Path, metavar="OUT", help="folder of the run; a run found there goes on")
    made.add_argument(
        "--config-file",
        metavar="FILE",
        help=f"YAML file, or the name of one that is packaged: {', '.join(names)}",
    )
    made.add_argument(
        "--config",
        dest="config_overrides",
        action=_Overrides,
        nargs="*",
        metavar="NAME=VALUE",
        help="values that come after the file's, for example data.corpora=[data/constructed] common.seed=1",
    )
    return made


def find_config(file: str | Path) -> Path:
    """The file of a configuration.

    Raises:
        MotionBeatError: there is none of that path or name.
    """
    for path in (Path(file), CONFIGS / f"{file}.yaml"):
        if path.is_file():
            return path
    raise MotionBeatError(f"--config-file {file}: no such file, and no packaged configuration of that name")

"""The options of ``python -m recipes.pretrain``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from motionbeat_upstream.commands.command import RaisingParser
from motionbeat_upstream.errors import MotionBeatError

CONFIGS = Path(__file__).parent / "configs"
"""Folder of the packaged configurations."""


class _Overrides(argparse.Action):
    """Parse NAME=VALUE with fairseq2, imported only if the option is used."""

    def __call__(
        self,
        build_parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        from fairseq2.utils.argparse import ConfigAction

        ConfigAction(list(self.option_strings), self.dest)(build_parser, namespace, values, option)


def build_parser() -> argparse.ArgumentParser:
    """Create the parser of the command line."""
    names = sorted(str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.yaml"))
    parser = RaisingParser("python -m recipes.pretrain", description="Pretrain MotionBeat, or resume a run.")
    parser.add_argument(
        "folder", type=Path, metavar="OUT", help="folder of the run; an existing run is resumed"
    )
    parser.add_argument(
        "--config-file", metavar="FILE", help=f"YAML file, or the name of a packaged one: {', '.join(names)}"
    )
    parser.add_argument(
        "--config",
        dest="config_overrides",
        action=_Overrides,
        nargs="*",
        metavar="NAME=VALUE",
        help="values that override those of the file, for example data.corpora=[data/constructed] "
        "common.seed=1",
    )
    return parser


def find_config(file: str | Path) -> Path:
    """Return the path of a configuration, given by its path or packaged name.

    Raises:
        MotionBeatError: no such file or name.
    """
    for path in (Path(file), CONFIGS / f"{file}.yaml"):
        if path.is_file():
            return path
    raise MotionBeatError(f"--config-file {file}: no such file, and no packaged configuration of that name")

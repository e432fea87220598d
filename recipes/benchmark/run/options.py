"""The options of ``python -m recipes.benchmark run``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from motion_data.errors import DataError
from motionbeat_upstream.commands.command import Parser
from motionbeat_upstream.errors import MotionBeatError
from recipes.benchmark import run

TASKS = (
    *("beat_tracking", "tagging", "genre", "instrument", "music_emotion"),
    *("retrieval", "dance_generation"),
)

UPSTREAMS = ("motionbeat", "motionbeat_untrained", "motionbeat_log_mel", "fbank", "mfcc")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options.

    Raises:
        MotionBeatError: an unknown option, a file that is not there, or no folder of data.
    """
    options = parser().parse_args(arguments)
    if not options.data.is_dir():
        raise DataError(f"--data {options.data}: no such folder; expected one of data sets")
    if options.dance_config is not None and not options.dance_config.is_file():
        raise MotionBeatError(f"--dance-config {options.dance_config}: no such file")
    return options


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    made = Parser(
        "python -m recipes.benchmark run",
        description=run.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("out", type=Path, metavar="OUT", help="folder of the results and of table.md")
    made.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data sets")
    made.add_argument(
        "-u",
        "--upstreams",
        nargs="+",
        default=list(UPSTREAMS),
        metavar="NAME",
        help="of S3PRL's hub, a .safetensors file, or NAME:PATH; LABEL=… names its row (%(default)s)",
    )
    made.add_argument("--tasks", nargs="+", default=["all"], choices=["all", *TASKS])
    made.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    made.add_argument("--probe", default="linear", choices=("linear", "mlp"))
    made.add_argument("--slice-seconds", type=float, default=30.0, help="encoded at once (%(default)s)")
    made.add_argument(
        "--dance-config",
        type=Path,
        metavar="FILE",
        help="of dance_generation's size and training, for example its edge.yaml (its config.yaml)",
    )
    made.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (%(default)s)")
    made.add_argument(
        "--no-table", action="store_true", help="run what is missing only, as one of several such commands"
    )
    made.add_argument(
        "--overwrite", action="store_true", help="replace runs in OUT of other data, weights or versions"
    )
    made.add_argument("--no-cache", action="store_true", help="compute features anew, and keep none")
    return made

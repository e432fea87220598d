"""``python -m recipes.benchmark.fit_bar_pointer``: fit the constants of the bar pointer on dev data."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from motionbeat_upstream.commands.command import command
from recipes.benchmark import fit_bar_pointer


@command("fit_bar_pointer", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark.fit_bar_pointer",
        description=fit_bar_pointer.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint of a tower with beat heads (.safetensors)")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="SET", help="dev data, as for recipes.benchmark beats"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N recordings per set (all)")
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="processor time of the searches (%(default)g)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="length of the excerpt from the middle of recordings longer than 1.5 times that (%(default)g)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of folds and proposals (%(default)s)")
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit must be at least 1, got {options.limit}")
    if not min(options.minutes, options.seconds) > 0:
        parser.error("--minutes and --seconds must be above 0")
    from recipes.benchmark.fit_bar_pointer.fit import run

    return run(options)


if __name__ == "__main__":
    sys.exit(main())

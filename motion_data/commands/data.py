"""``motionbeat data``: prepare a corpus, look at a pair, time the pipeline."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from motion_data.errors import DataError

COMMANDS = {
    "prepare": "make a corpus ready: motionbeat data prepare NAME RAW OUT",
    "inspect": "draw a pair, film it, write it as a page that plays, or its motion as a file",
    "profile": "pairs a second through the pipeline, in all and by stage",
}


def main(arguments: Sequence[str]) -> int:
    """Run a subcommand; 2 for what cannot be done as asked, with one line that says why."""
    listed = "\n".join(f"  {name:8}  {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        "motionbeat data",
        description=f"Music paired with motion.\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    options = parser.parse_args(arguments[:1])
    try:
        module = importlib.import_module(f"motion_data.commands.{options.command}")
        return int(module.main(arguments[1:]))
    except DataError as error:
        print(f"motionbeat data {options.command}: {error}", file=sys.stderr)
        return 2

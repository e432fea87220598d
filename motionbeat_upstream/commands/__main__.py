"""The command ``motionbeat``: runs one of the registered subcommands, and imports no other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from motionbeat_upstream.commands.command import command, dispatch
from motionbeat_upstream.version import __version__

GROUP = "motionbeat.commands"


@command("motionbeat")
def main(arguments: Sequence[str]) -> int:
    """Run the subcommand of the first argument."""
    if arguments in (["--version"], ["-V"]):
        print(f"motionbeat {__version__}")
        return 0
    commands = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    return dispatch("motionbeat", dict(sorted(commands.items())), arguments or ["--help"])


if __name__ == "__main__":
    sys.exit(main())

"""The command ``motionbeat``: gathers the subcommands of every part, and imports one when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from motionbeat_upstream.commands.command import command, dispatch
from motionbeat_upstream.version import __version__

GROUP = "motionbeat.commands"


@command("motionbeat")
def main(arguments: Sequence[str]) -> int:
    """Run the subcommand that is named first."""
    if arguments in (["--version"], ["-V"]):
        print(f"motionbeat {__version__}")
        return 0
    commands = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    return dispatch("motionbeat", dict(sorted(commands.items())), arguments or ["--help"])


if __name__ == "__main__":
    sys.exit(main())

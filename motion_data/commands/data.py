"""``motionbeat data``: prepare a corpus, look at a pair, list licences, time the pipeline, write shards."""

from __future__ import annotations

from collections.abc import Sequence

from motionbeat_upstream.commands.command import command, dispatch

COMMANDS = {
    name: f"motion_data.commands.{name}:main"
    for name in ("prepare", "inspect", "licences", "profile", "shards")
}


@command("motionbeat data", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the subcommand that is named first."""
    return dispatch("motionbeat data", COMMANDS, arguments)

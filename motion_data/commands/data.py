"""``motionbeat data``: prepare a corpus, show a pair, list licences, time the pipeline, write shards.

``soundfonts`` measures the sounds that constructed pairs are rendered with.
"""

from __future__ import annotations

from collections.abc import Sequence

from motionbeat_upstream.commands.command import command, dispatch

NAMES = ("prepare", "inspect", "licences", "profile", "shards", "soundfonts", "summary")

COMMANDS = {name: f"motion_data.commands.{name}:main" for name in NAMES}


@command("motionbeat data", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the subcommand that is named first."""
    return dispatch("motionbeat data", COMMANDS, arguments)

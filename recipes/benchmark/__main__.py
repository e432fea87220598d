"""``python -m recipes.benchmark COMMAND``: compare upstreams on all tasks, and other benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motionbeat_upstream.commands.command import command, dispatch

COMMANDS = {
    "first": "recipes.benchmark.beat_tracking_first:main",
    "beats": "recipes.benchmark.beats.__main__:main",
    "run": "recipes.benchmark.run.__main__:main",
    "table": "recipes.benchmark.beat_tracking_table:main",
    "dance-metrics": "recipes.dance_metrics.__main__:main",
    "dance-response": "recipes.benchmark.dance_response:main",
    "labelling-error": "recipes.benchmark.labelling_error:main",
    "fit-tempo": "recipes.benchmark.fit_tempo:main",
    "fit-bar-pointer": "recipes.benchmark.fit_bar_pointer.__main__:main",
    "pretraining-table": "recipes.benchmark.pretraining_table:main",
    "pretraining-curves": "recipes.benchmark.pretraining_curves:main",
    "docs": "recipes.benchmark.docs:main",
    "experiments": "recipes.benchmark.experiments:main",
    "speed": "recipes.benchmark.speed.__main__:main",
    "soft-dtw": "recipes.benchmark.soft_dtw_against_tslearn:main",
}


@command("recipes.benchmark")
def main(arguments: Sequence[str]) -> int:
    """Run a subcommand."""
    return dispatch("python -m recipes.benchmark", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())

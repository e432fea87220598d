"""What each loss does: the validation figures of several pretraining runs, one row each.

    python -m recipes.benchmark.pretraining_table runs/ablations/* -o table.md

Rows are runs at their last validation, all at the same step. Figures are of the dev split: pieces and takes
that no run was trained on. With ``--split test`` they are what `python -m recipes.pretrain.validate RUN`
wrote, and the beat probe on the log-mel and on the untrained tower comes with them. Each has its 95 %
bootstrap interval over pieces, as it was written.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import output_file
from motionbeat_upstream.errors import MotionBeatError
from recipes.pretrain.validate import validation_path
from recipes.results.estimates import Estimate
from recipes.results.tables import markdown_table

COLUMNS: Mapping[str, tuple[str, str | None]] = {
    "beat probe, trunk": ("probe.trunk.beat_f", None),
    "middle": ("probe.middle.beat_f", None),
    "last": ("probe.last.beat_f", None),
    "R@1": ("shared.recall_at_1", "silence.recall_at_1"),
    "R@1, frames": ("frames_shared.recall_at_1", "frames_silence.recall_at_1"),
    "R@1, own grids": ("own_grids.recall_at_1", "own_grids_silence.recall_at_1"),
    "hard": ("hard_shared.accuracy", "hard_silence.accuracy"),
    "one beat off told": ("hard_shared.beats_jittered_1", "hard_silence.beats_jittered_1"),
}
"""Heading, figure, and the same figure with the audio blanked."""

NO_LEARNING = {
    "R@1": "no_learning.recall_at_1",
    "R@1, frames": "frames_no_learning.recall_at_1",
    "hard": "hard_no_learning.accuracy",
    "one beat off told": "hard_no_learning.beats_jittered_1",
}
LOG_MEL = {"beat probe, trunk": "probe.log_mel.beat_f"}
UNTRAINED = {
    "beat probe, trunk": "probe.untrained_trunk.beat_f",
    "middle": "probe.untrained_middle.beat_f",
    "last": "probe.untrained_last.beat_f",
}
CHANCE = {
    "R@1": "shared.chance_at_1",
    "R@1, frames": "frames_shared.chance_at_1",
    "R@1, own grids": "own_grids.chance_at_1",
    "hard": "hard_shared.chance",
}


@command("pretraining_table")
def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark.pretraining_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs")
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="(%(default)s)")
    parser.add_argument(
        "-o", "--output", type=output_file(".md"), metavar="FILE.md", help="write the table there as well"
    )
    options = parser.parse_args(arguments)
    text = table_text({run.name: figures_of(run, options.split) for run in options.runs})
    if options.output is not None:
        write_text(options.output, text)
    print(text)
    return 0


def figures_of(run: Path, split: str) -> dict[str, Any]:
    """The figures of a run's last validation, or those of the test split.

    Raises:
        MotionBeatError: there are none.
    """
    if split == "test":
        file = validation_path(run, split)
        if not file.is_file():
            raise MotionBeatError(f"{file}: no such file; run `python -m recipes.pretrain.validate {run}`")
        figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return figures
    file = run / "metrics/valid.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    if not lines:
        raise MotionBeatError(f"{run}: holds no validation (metrics/valid.jsonl); give folders of runs")
    record: dict[str, Any] = json.loads(lines[-1])
    return record


def table_text(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A markdown table of the figures of each run, with the baselines below.

    Raises:
        MotionBeatError: runs at different steps, which do not compare.
    """
    steps = {name: record["Step"] for name, record in found.items()}
    if len(set(steps.values())) > 1:
        told = ", ".join(f"{name} at {step}" for name, step in steps.items())
        raise MotionBeatError(f"the runs were validated last at different steps ({told}); let all get as far")
    rows = [[name, *(_pair(of, *keys) for keys in COLUMNS.values())] for name, of in found.items()]
    first = next(iter(found.values()))
    baselines = {"no learning": NO_LEARNING, "chance": CHANCE, "log-mel": LOG_MEL, "untrained": UNTRAINED}
    for name, keys in baselines.items():
        if any(figure in first for figure in keys.values()):
            rows.append([name, *(_cell(first, keys[head]) if head in keys else "" for head in COLUMNS)])
    return "\n".join(markdown_table([f"step {next(iter(steps.values()))}", *COLUMNS], rows)) + "\n"


def _pair(record: Mapping[str, Any], figure: str, blanked: str | None) -> str:
    """A figure with its interval, and what is left of it without the audio."""
    cell = _cell(record, figure)
    return cell if blanked is None or blanked not in record else f"{cell}; silent {record[blanked]:.3f}"


def _cell(record: Mapping[str, Any], figure: str) -> str:
    keys = (figure, f"{figure}_low", f"{figure}_high")
    return Estimate(*(record.get(key, math.nan) for key in keys)).text()


if __name__ == "__main__":
    sys.exit(main())

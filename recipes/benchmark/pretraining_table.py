"""Table of the validation metrics of several pretraining runs, one row each.

    python -m recipes.benchmark.pretraining_table runs/ablations/* -o table.md

Each row is the last validation of a run on the dev split; all must be at the same step. With ``--split test``
the metrics are those of `python -m recipes.pretrain.validate RUN`, which include the beat probe on the
log-mel and on the untrained tower. All have 95 % bootstrap intervals over pieces.
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
from recipes.pretrain.export import read_metrics
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
"""Headings, metrics, and the same metrics with blanked audio."""

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
        "-o", "--output", type=output_file(".md"), metavar="FILE.md", help="also write the table to this file"
    )
    options = parser.parse_args(arguments)
    text = table_text({run.name: split_metrics(run, options.split) for run in options.runs})
    if options.output is not None:
        write_text(options.output, text)
    print(text)
    return 0


def split_metrics(run: Path, split: str) -> dict[str, Any]:
    """Read the metrics of the last validation of a run, or those of the test split.

    Raises:
        MotionBeatError: there are none.
    """
    if split == "test":
        file = validation_path(run, split)
        if not file.is_file():
            raise MotionBeatError(f"{file}: no such file; run `python -m recipes.pretrain.validate {run}`")
        metrics: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return metrics
    records = read_metrics(run, "valid")
    if not records:
        raise MotionBeatError(f"{run}: contains no validation (metrics/valid.jsonl); give folders of runs")
    return records[-1]


def table_text(runs_metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Format a markdown table of the metrics of each run, with the baselines below.

    Raises:
        MotionBeatError: the runs are at different steps.
    """
    steps = {name: record["Step"] for name, record in runs_metrics.items()}
    if len(set(steps.values())) > 1:
        steps_text = ", ".join(f"{name} at {step}" for name, step in steps.items())
        raise MotionBeatError(
            f"the runs were validated last at different steps ({steps_text}); continue the others to the "
            f"same step"
        )
    rows = [
        [name, *(_pair(record, *keys) for keys in COLUMNS.values())] for name, record in runs_metrics.items()
    ]
    first = next(iter(runs_metrics.values()))
    baselines = {"no learning": NO_LEARNING, "chance": CHANCE, "log-mel": LOG_MEL, "untrained": UNTRAINED}
    for name, keys in baselines.items():
        if any(metric in first for metric in keys.values()):
            rows.append([name, *(_cell(first, keys[head]) if head in keys else "" for head in COLUMNS)])
    return "\n".join(markdown_table([f"step {next(iter(steps.values()))}", *COLUMNS], rows)) + "\n"


def _pair(record: Mapping[str, Any], metric: str, silent_metric: str | None) -> str:
    """Format a metric with its interval, and its value with blanked audio."""
    silent = f"; silent {record[silent_metric]:.3f}" if silent_metric and silent_metric in record else ""
    return _cell(record, metric) + silent


def _cell(record: Mapping[str, Any], metric: str) -> str:
    keys = (metric, f"{metric}_low", f"{metric}_high")
    return Estimate(*(record.get(key, math.nan) for key in keys)).text()


if __name__ == "__main__":
    sys.exit(main())

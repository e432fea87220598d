"""Print the state, step and metrics of each run of a launch, once or repeatedly."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.jobs import has_ended, read_states
from recipes.launch.record import Record, read_record

MAX_METRICS = 5
"""Maximum number of metrics per file; fairseq2 writes the most important first."""

_TAIL_BYTES = 65_536
"""Bytes to read from the end of a file; longer than any line."""


def watch(folder: Path, once: bool, every: float) -> int:
    """Print the states of the runs until all have ended; return 0 if all have finished, else 1.

    On a terminal the screen is redrawn each time; to a file or a pipe only changes are printed.

    Args:
        folder: folder of the launch.
        once: print once and return 0.
        every: interval in seconds.

    Raises:
        MotionBeatError: there is no launch, or its state is not available.
    """
    run_states: Mapping[str, str] | None = None
    printed = ""
    while True:
        # Read each time, to follow a new launch in the folder.
        record = read_record(folder)
        try:
            run_states = read_states(folder, record)
            text = report(record, run_states)
        except MotionBeatError as error:
            # A busy SLURM sometimes does not answer: retry, except the first time.
            if run_states is None:
                raise
            text = str(error)
        if sys.stdout.isatty() and not once:
            print("\x1b[2J\x1b[H", end="")
        if sys.stdout.isatty() or text != printed:
            print(text, flush=True)
        printed = text
        if once:
            return 0
        if all(has_ended(state) for state in run_states.values()):
            return 0 if all(state == "FINISHED" for state in run_states.values()) else 1
        time.sleep(every)


def report(record: Record, run_states: Mapping[str, str]) -> str:
    """Format a headline and a line per run with name, job, state, step and metrics, cut to the terminal."""
    lines = [f"{record.recipe} on {record.cluster}, launched {record.submitted}"]
    rows = []
    for run in record.runs:
        metrics = last_metrics(Path(run.folder))
        step = last_step(metrics)
        metrics_text = "; ".join(f"{name}: {_format_metrics(values)}" for name, values in metrics.items())
        rows.append(
            (run.name, run.job, run_states[run.name], "-" if step is None else f"step {step}", metrics_text)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join((*cells, row[4])).rstrip())
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        lines = [line if len(line) <= columns else f"{line[: columns - 1]}…" for line in lines]
    return "\n".join(lines)


def _format_metrics(values: Mapping[str, Any]) -> str:
    numbers = [(name, value) for name, value in values.items() if name not in ("Time", "Step")]
    texts = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in numbers
        if isinstance(value, int | float)
    ]
    return ", ".join(texts[:MAX_METRICS])


def last_metrics(run: Path) -> dict[str, Mapping[str, Any]]:
    """Read the last complete line of each ``metrics/*.jsonl`` of a run, by name (``train``, …)."""
    folder = run / "metrics"
    metrics = {}
    for path in sorted(folder.rglob("*.jsonl")):
        values = _last_line(path)
        if values is not None:
            metrics[path.relative_to(folder).with_suffix("").as_posix()] = values
    return metrics


def last_step(metrics: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Last recorded step; None if there is none."""
    return max((int(values["Step"]) for values in metrics.values() if "Step" in values), default=None)


def _last_line(path: Path) -> Mapping[str, Any] | None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().split(b"\n")
    # The text after the last newline is incomplete; a line before it may be incomplete after a kill.
    for line in reversed(lines[:-1]):
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            return values
    return None

"""The state, step and metrics of each run of a launch, once or again and again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.metrics import last_metrics, step
from recipes.launch.record import Record, read_record
from recipes.launch.states import is_finished, is_over, states

SHOWN = 5
"""Metrics shown of each file; fairseq2 writes the most important first."""


def watch(folder: Path, once: bool, every: float) -> int:
    """Print the runs' states until all are over, and return 0 if all finished, else 1.

    A terminal is drawn anew at every look; into a file or a pipe they are printed when they change.

    Args:
        folder: of the launch.
        once: print them once; returns 0.
        every: seconds between two looks.

    Raises:
        MotionBeatError: nothing was launched there, or its state cannot be asked for.
    """
    found: Mapping[str, str] | None = None
    printed = ""
    while True:
        # Read again each time: another launch into the folder is followed too.
        record = read_record(folder)
        try:
            found = states(folder, record)
            shown = report(record, found)
        except MotionBeatError as error:
            # A busy SLURM does not answer now and then, and is asked again; not so the first time.
            if found is None:
                raise
            shown = str(error)
        if sys.stdout.isatty() and not once:
            print("\x1b[2J\x1b[H", end="")
        if sys.stdout.isatty() or shown != printed:
            print(shown, flush=True)
        printed = shown
        if once:
            return 0
        if all(is_over(state) for state in found.values()):
            return 0 if all(is_finished(state) for state in found.values()) else 1
        time.sleep(every)


def report(record: Record, found: Mapping[str, str]) -> str:
    """A headline, and a line per run: name, job, state, step, metrics; no wider than the terminal."""
    lines = [f"{record.recipe} on {record.cluster}, launched {record.submitted}"]
    rows = []
    for run in record.runs:
        metrics = last_metrics(Path(run.folder))
        reached = step(metrics)
        told = "; ".join(f"{name}: {_told(values)}" for name, values in metrics.items())
        rows.append((run.name, run.job, found[run.name], "-" if reached is None else f"step {reached}", told))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join((*cells, row[4])).rstrip())
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        lines = [line if len(line) <= columns else f"{line[: columns - 1]}…" for line in lines]
    return "\n".join(lines)


def _told(values: Mapping[str, Any]) -> str:
    numbers = [(name, value) for name, value in values.items() if name not in ("Time", "Step")]
    shown = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in numbers
        if isinstance(value, int | float)
    ]
    return ", ".join(shown[:SHOWN])

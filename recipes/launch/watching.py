"""The state, step and metrics of each run of a launch, once or again and again."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.jobs import is_over, states
from recipes.launch.record import Record, read_record

SHOWN = 5
"""Metrics shown of each file; fairseq2 writes the most important first."""

_TAIL = 65_536
"""Bytes that the last line surely fits into."""


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
            return 0 if all(state == "FINISHED" for state in found.values()) else 1
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


def last_metrics(run: Path) -> dict[str, Mapping[str, Any]]:
    """The last whole line of each ``metrics/*.jsonl`` in a run's folder, by its name (``train``, …)."""
    folder = run / "metrics"
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        last = _last_line(path)
        if last is not None:
            found[path.relative_to(folder).with_suffix("").as_posix()] = last
    return found


def step(metrics: Mapping[str, Mapping[str, Any]]) -> int | None:
    """The step that the training is known to have reached; None: none yet."""
    return max((int(values["Step"]) for values in metrics.values() if "Step" in values), default=None)


def _last_line(path: Path) -> Mapping[str, Any] | None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().split(b"\n")
    # What follows the last newline is being written; a line before it may be cut off by a kill.
    for line in reversed(lines[:-1]):
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            return values
    return None

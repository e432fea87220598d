"""The last lines of the metrics that fairseq2 writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TAIL = 65_536
"""Bytes that the last line surely fits into."""


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

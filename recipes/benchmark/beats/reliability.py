"""Whether a tracker's confidence agrees with how often it is right: reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path
from recipes.benchmark.beats.comparison import CONFIDENCE

RIGHT = 0.9
"""Least F of a recording whose beats, or downbeats, are called right."""

BINS = 10
"""Of equal width over [0, 1]."""


@dataclass(frozen=True)
class Reliability:
    """Recordings by confidence; arrays are over the bins that hold any."""

    confidence: NDArray[np.float64]
    """Mean confidence in each bin."""
    right: NDArray[np.float64]
    """Share of recordings that are right."""
    count: NDArray[np.int64]
    error: float
    """Expected calibration error: the mean over recordings of \\|right − confidence\\| of their bin."""


def reliability(confidence: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Reliability:
    """Expected calibration error and diagram (Guo et al. 2017) of (N,) recordings, N at least 1."""
    values = np.asarray(confidence, dtype=np.float64)
    number = np.minimum((values * bins).astype(np.int64), bins - 1)
    used, place, count = np.unique(number, return_inverse=True, return_counts=True)
    mean = np.bincount(place, values, len(used)) / count
    share = np.bincount(place, np.asarray(right, dtype=np.float64), len(used)) / count
    return Reliability(mean, share, count, float((count * np.abs(share - mean)).sum() / len(values)))


def tracker_reliability(rows: pd.DataFrame, tracker: str) -> dict[str, Reliability]:
    """Of the beats and of the downbeats of a tracker over the recordings of all sets.

    Args:
        rows: long form, see :func:`~recipes.benchmark.beats.comparison.compare`.
        tracker: its name.

    Raises:
        DataError: the tracker gives no confidence.
    """
    chosen = rows[rows["upstream"] == tracker]
    by_recording = chosen.pivot(index=["data", "item"], columns="measure", values="value")
    found = {}
    for target, name in CONFIDENCE.items():
        if {name, f"{target} F"} <= set(by_recording.columns):
            known = by_recording[[name, f"{target} F"]].dropna()
            found[target] = reliability(known[name].tolist(), (known[f"{target} F"] >= RIGHT).tolist())
    if not found:
        raise DataError(f"--reliability {tracker}: gives no confidence; expected a tracker that gives a grid")
    return found


def draw_reliability(path: Path, found: dict[str, Reliability], tracker: str) -> None:
    """A panel for the beats and one for the downbeats; numbers beside the points count recordings."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(4.2 * len(found), 4.2), layout="constrained")
    for number, (target, one) in enumerate(found.items(), 1):
        axes = picture.add_subplot(1, len(found), number)
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
        axes.plot(one.confidence, one.right, "o-", color="tab:blue")
        for x, y, count in zip(one.confidence, one.right, one.count, strict=True):
            axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(5, 5), fontsize=8)
        axes.set(xlim=(-0.03, 1.05), ylim=(-0.03, 1.08), xlabel=f"{CONFIDENCE[target]} of {tracker}")
        axes.set_ylabel(f"share of recordings with {target} F ≥ {RIGHT:g}")
        axes.set_title(f"{target}s: calibration error {one.error:.3f}, N = {one.count.sum()}", fontsize=9)
    with atomic_path(path) as draft:
        picture.savefig(draft, format="png", dpi=120)

"""Reliability diagrams: the agreement of a tracker's confidence with its accuracy."""

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

MIN_CORRECT_F = 0.9
"""Minimum F of a recording whose beats, or downbeats, count as correct."""

BINS = 10
"""Number of bins of equal width over [0, 1]."""


@dataclass(frozen=True)
class Reliability:
    """Recordings by confidence; arrays are over the bins that are not empty."""

    confidence: NDArray[np.float64]
    """Mean confidence in each bin."""
    correct: NDArray[np.float64]
    """Share of correct recordings in each bin."""
    count: NDArray[np.int64]
    """Number of recordings in each bin."""
    error: float
    """Expected calibration error: the mean over recordings of \\|correct − confidence\\| of their bin."""


def reliability(confidence: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> Reliability:
    """Expected calibration error and diagram (Guo et al. 2017) of (N,) recordings, N at least 1."""
    values = np.asarray(confidence, dtype=np.float64)
    bin_number = np.minimum((values * bins).astype(np.int64), bins - 1)
    bins_used, bin_index, count = np.unique(bin_number, return_inverse=True, return_counts=True)
    mean = np.bincount(bin_index, values, len(bins_used)) / count
    share = np.bincount(bin_index, np.asarray(correct, dtype=np.float64), len(bins_used)) / count
    return Reliability(mean, share, count, float((count * np.abs(share - mean)).sum() / len(values)))


def tracker_reliability(rows: pd.DataFrame, tracker: str) -> dict[str, Reliability]:
    """Reliability of the beats and of the downbeats of a tracker over the recordings of all sets.

    Args:
        rows: results of :func:`~recipes.benchmark.beats.comparison.compare` in long form.
        tracker: name of the tracker.

    Raises:
        DataError: the tracker has no confidence.
    """
    tracker_rows = rows[rows["upstream"] == tracker]
    by_recording = tracker_rows.pivot(index=["data", "item"], columns="measure", values="value")
    reliabilities = {}
    for target, name in CONFIDENCE.items():
        if {name, f"{target} F"} <= set(by_recording.columns):
            known = by_recording[[name, f"{target} F"]].dropna()
            reliabilities[target] = reliability(
                known[name].tolist(), (known[f"{target} F"] >= MIN_CORRECT_F).tolist()
            )
    if not reliabilities:
        raise DataError(f"--reliability {tracker}: has no confidence; expected a tracker with a grid")
    return reliabilities


def draw_reliability(path: Path, reliabilities: dict[str, Reliability], tracker: str) -> None:
    """Draw a panel for the beats and one for the downbeats, with numbers of recordings at the points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(reliabilities), 4.2), layout="constrained")
    for index, (target, panel) in enumerate(reliabilities.items(), 1):
        axes = figure.add_subplot(1, len(reliabilities), index)
        axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
        axes.plot(panel.confidence, panel.correct, "o-", color="tab:blue")
        for x, y, count in zip(panel.confidence, panel.correct, panel.count, strict=True):
            axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(5, 5), fontsize=8)
        axes.set(xlim=(-0.03, 1.05), ylim=(-0.03, 1.08), xlabel=f"{CONFIDENCE[target]} of {tracker}")
        axes.set_ylabel(f"share of recordings with {target} F ≥ {MIN_CORRECT_F:g}")
        axes.set_title(f"{target}s: calibration error {panel.error:.3f}, N = {panel.count.sum()}", fontsize=9)
    with atomic_path(path) as draft:
        figure.savefig(draft, format="png", dpi=120)

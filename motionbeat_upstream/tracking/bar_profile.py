"""Accent mass over the bar: how strong the onsets are at each phase, bar by bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.tracking.grid import Grid, turns_at


def bar_profile(strength: NDArray[np.float32], rate: float, grid: Grid, bins: int) -> NDArray[np.float64]:
    """Mean strength in each phase bin of each bar.

    Args:
        strength: (F,) onset strength; frame j is centred at (j + 0.5) / rate seconds.
        rate: frames a second.
        grid: the beats and bars of the clip.
        bins: phase bins a bar; bin 0 is centred on the downbeat.

    Returns:
        (bars, bins), the first row the bar that the clip starts in; NaN where a bin has no frame.
    """
    cell = _cells(grid, (np.arange(len(strength)) + 0.5) / rate, bins)
    bars = int(cell[-1]) // bins + 1
    total = np.bincount(cell, weights=strength, minlength=bars * bins)
    count = np.bincount(cell, minlength=bars * bins)
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean.reshape(bars, bins)


def bar_numbers(grid: Grid, times: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Number of the bar at ``times`` (seconds), as :func:`bar_profile` has them: its first row is 1."""
    numbers: NDArray[np.int64] = _cells(grid, times, bins) // bins + 1
    return numbers


def _cells(grid: Grid, times: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Phase bins counted through all bars, from the downbeat of the bar that the clip starts in."""
    first, *cells = np.floor(turns_at(grid, np.concatenate([[0.0], times])) * bins + 0.5).astype(np.int64)
    cell: NDArray[np.int64] = np.array(cells, dtype=np.int64) - first // bins * bins
    return cell

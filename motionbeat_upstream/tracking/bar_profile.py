"""Accent mass over the bar: onset strength at each phase of each bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.tracking.grid import Grid, time_to_bars


def bar_profile(strength: NDArray[np.float32], rate: float, grid: Grid, bins: int) -> NDArray[np.float64]:
    """Mean strength in each phase bin of each bar.

    Args:
        strength: (F,) onset strength; frame j is centred at (j + 0.5) / rate seconds.
        rate: frames a second.
        grid: beats and bars of the clip.
        bins: phase bins per bar; bin 0 is centred on the downbeat.

    Returns:
        (bars, bins) float64. The first row is the bar in which the clip starts. NaN in bins without a frame.
    """
    index = _bin_indices(grid, (np.arange(len(strength)) + 0.5) / rate, bins)
    bars = int(index[-1]) // bins + 1
    total = np.bincount(index, weights=strength, minlength=bars * bins)
    count = np.bincount(index, minlength=bars * bins)
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean.reshape(bars, bins)


def bar_numbers(grid: Grid, times: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Number of the bar at each of ``times`` (seconds); 1 is the first row of :func:`bar_profile`."""
    numbers: NDArray[np.int64] = _bin_indices(grid, times, bins) // bins + 1
    return numbers


def _bin_indices(grid: Grid, times: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Indices of phase bins, counted from the downbeat of the bar in which the clip starts."""
    bars = time_to_bars(grid, np.concatenate([[0.0], times]))
    index = np.floor(bars * bins + 0.5).astype(np.int64)
    indices: NDArray[np.int64] = index[1:] - index[0] // bins * bins
    return indices

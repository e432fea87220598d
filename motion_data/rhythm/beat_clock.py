"""Time counted in beats: from seconds to beats of a grid and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.beats.grid import Grid


def beats_at(grid: Grid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beats at ``times`` (seconds): 0 at the grid's first beat, 1 at its second.

    Beyond the outer beats the count goes on at the tempo found there.
    """
    return piecewise_line(times, grid.beats, np.arange(len(grid.beats), dtype=np.float64))


def times_at(grid: Grid, beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds at ``beats``; the inverse of :func:`beats_at`."""
    return piecewise_line(beats, np.arange(len(grid.beats), dtype=np.float64), grid.beats)


def piecewise_line(
    x: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A function of ``x`` that is straight between (knots, values) and goes straight on beyond them.

    Args:
        x: (N,).
        knots: (K,) increasing, K at least 2.
        values: (K,).
    """
    before = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    share = (x - knots[before]) / (knots[before + 1] - knots[before])
    line: NDArray[np.float64] = values[before] + share * (values[before + 1] - values[before])
    return line

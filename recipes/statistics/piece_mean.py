"""Means in which every piece counts the same, with their 95 % interval over pieces.

Clips of one piece are much alike: many of them are no more evidence than a few, and a long piece should
not outweigh the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.statistics.mean_interval import RESAMPLES, mean_interval

WIDTH = 2 * 1.96
"""Standard errors in a 95 % interval."""


@dataclass(frozen=True)
class PieceMean:
    """A mean over pieces of the means of their clips."""

    mean: float
    """NaN without a clip."""
    low: float | None
    """Of the 95 % bootstrap interval; None for a single piece, which says nothing about others."""
    high: float | None
    pieces: int

    @property
    def standard_error(self) -> float:
        """Of the mean, by the width of the interval; 0 for a single piece, which says nothing of others."""
        return 0.0 if self.low is None or self.high is None else (self.high - self.low) / WIDTH

    def metrics(self, name: str) -> dict[str, float]:
        """The mean under ``name``, and the interval's ends with ``_low`` and ``_high`` where there is one.

        Nothing at all without a clip: a figure that is not known is not logged.
        """
        figures = {} if self.pieces == 0 else {name: self.mean}
        if self.low is not None and self.high is not None:
            figures |= {f"{name}_low": self.low, f"{name}_high": self.high}
        return figures


def piece_weights(pieces: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) weights of clips, of sum 1 and the same sum for every piece."""
    _, number, count = np.unique(np.asarray(pieces), return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1.0 / (count[number] * max(len(count), 1))
    return weights


def piece_mean(
    values: Sequence[float] | NDArray[np.float64],
    pieces: Sequence[int] | NDArray[np.int64],
    resamples: int = RESAMPLES,
) -> PieceMean:
    """Mean and interval of a figure that each clip has.

    Args:
        values: (N,).
        pieces: (N,) number of each clip's piece.
        resamples: draws of the bootstrap.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return PieceMean(float("nan"), None, None, 0)
    _, number, count = np.unique(np.asarray(pieces), return_inverse=True, return_counts=True)
    means = np.bincount(number, values) / count
    interval = mean_interval(means, resamples)
    low, high = (None, None) if interval is None else (float(interval[0]), float(interval[1]))
    return PieceMean(float(means.mean()), low, high, len(means))

"""A figure with its interval, as tables show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.statistics.mean_interval import RESAMPLES, mean_interval


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95 % interval; NaN where something is not defined."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def text(self, sign: str = "") -> str:
        """As a cell shows it; ``sign`` is ``+`` for differences."""
        if np.isnan(self.value):
            return "–"
        if np.isnan(self.low):
            return f"{self.value:{sign}.3f}"
        return f"{self.value:{sign}.3f} [{self.low:{sign}.3f}, {self.high:{sign}.3f}]"


def mean_estimate(values: NDArray[np.float64] | Sequence[float], resamples: int = RESAMPLES) -> Estimate:
    """The mean of what is a number among (N,) values of pieces, with its interval over them."""
    values = _numbers(values)
    interval = mean_interval(values, resamples)
    if interval is None:
        return Estimate(plain_mean(values))
    return Estimate(plain_mean(values), float(interval[0]), float(interval[1]))


def plain_mean(values: NDArray[np.float64] | Sequence[float]) -> float:
    """The mean of what is a number among (N,) values; NaN where nothing is."""
    values = _numbers(values)
    return float(values.mean()) if len(values) else float("nan")


def _numbers(values: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    return values[~np.isnan(values)]

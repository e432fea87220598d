"""Figures with 95 % intervals.

Items of one group (clips of a piece, of an artist, of a drummer) resemble each other, and a claim is to hold
for other groups. So every group counts the same in a mean, and the bootstrap draws groups, not items.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
"""Resamples for the interval of a mean."""

DEFINED = 0.5
"""Share of resamples in which a statistic must be defined for its interval to be given."""

FEWEST_ITEMS = 3
"""Items that a jackknife needs, or a statistic of two items would be computed from one."""

TWO_SIDED = 1.96
"""Standard errors from a figure to either end of its 95 % interval."""

Items = NDArray[np.int64]
"""(N,) indices of the items of a resample; an index may occur more than once."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    """NaN where the figure is not defined."""
    low: float = float("nan")
    """NaN where there is no interval: a single group tells nothing about others."""
    high: float = float("nan")
    groups: int = 0
    """Number of groups that the figure is computed from."""

    def text(self, sign: str = "", undefined: str = "–") -> str:
        """The figure and its interval with three decimals.

        Args:
            sign: ``+`` for differences.
            undefined: what stands for a figure that is not defined.
        """
        if np.isnan(self.value):
            return undefined
        if np.isnan(self.low):
            return f"{self.value:{sign}.3f}"
        return f"{self.value:{sign}.3f} [{self.low:{sign}.3f}, {self.high:{sign}.3f}]"

    @property
    def standard_error(self) -> float:
        """Standard error by the width of the interval; 0 where there is no interval."""
        return 0.0 if np.isnan(self.low) else (self.high - self.low) / (2 * TWO_SIDED)

    def metrics(self, name: str) -> dict[str, float]:
        """The figure under ``name``, the ends as ``name_low`` and ``name_high``; what is NaN is left out."""
        named = {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}
        return {key: value for key, value in named.items() if not np.isnan(value)}


def mean_estimate(
    values: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The mean over groups of the means of their items, with its percentile bootstrap interval over groups.

    Args:
        values: (N,) one of each item; NaN is left out.
        groups: (N,) group of each item; None where every item is a group of its own.
        resamples: number of resamples.
        seed: seed of the resampling.

    Returns:
        An estimate of NaN where there is no value.
    """
    from scipy.stats import bootstrap

    means = group_means(values, groups)
    value = float(means.mean()) if len(means) else float("nan")
    if len(means) < 2:
        return Estimate(value, groups=len(means))
    if np.ptp(means) == 0:  # The mean of N equal numbers may differ from them by rounding.
        return Estimate(value, value, value, len(means))
    drawn = bootstrap(
        (means,),
        np.mean,
        n_resamples=resamples,
        batch=1000,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    low, high = drawn.confidence_interval
    return Estimate(value, float(low), float(high), len(means))


def group_means(values: ArrayLike, groups: Sequence[Any] | NDArray[Any] | None = None) -> NDArray[np.float64]:
    """(G,) means of the items of each group, in the order of the sorted groups; NaN is left out.

    Args:
        values: (N,).
        groups: (N,); None where every item is a group of its own, in the given order.
    """
    numbers: NDArray[np.float64] = np.asarray(values, dtype=np.float64).reshape(-1)
    known = ~np.isnan(numbers)
    if groups is None:
        numbers = numbers[known]
        return numbers
    _, group, count = np.unique(np.asarray(groups)[known], return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(group, numbers[known], len(count)) / count)


def group_weights(groups: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
    """(N,) weights of items, of sum 1 and the same sum for every group."""
    _, group, count = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (count[group] * max(len(count), 1)))


def bootstrap_estimates(
    statistic: Callable[[Items], NDArray[np.float64]],
    groups: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """Figures that are no means over items, such as macro F1, with bootstrap intervals over groups.

    Args:
        statistic: (M,) figures of the items with the given indices; NaN where a figure is not defined for
            them.
        groups: (N,) group of each item.
        resamples: number of resamples, of as many groups as there are.
        seed: seed of the resampling.

    Returns:
        M estimates of all N items. There is no interval for a single group, nor where a figure is undefined
        in more than half of the resamples.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    names, number = np.unique(np.asarray(groups), return_inverse=True)
    values = statistic(np.arange(len(groups)))
    if len(names) < 2:
        return [Estimate(float(value), groups=len(names)) for value in values]
    members = [np.flatnonzero(number == group) for group in range(len(names))]
    with warnings.catch_warnings():
        # SciPy's own interval is not used: it is undefined where any resample is.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            (np.arange(len(names)),),
            lambda chosen: statistic(np.concatenate([members[group] for group in chosen])),
            n_resamples=resamples,
            method="percentile",
            vectorized=False,
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    often = np.isfinite(drawn).mean(1) >= DEFINED
    ends = np.full((2, len(values)), np.nan)
    ends[:, often] = np.nanpercentile(drawn[often], [2.5, 97.5], axis=1)
    return [
        Estimate(float(value), float(low), float(high), len(names))
        for value, low, high in zip(values, *ends, strict=True)
    ]


def jackknife_estimate(
    statistic: Callable[[Items], float], items: int, least: float = float("-inf")
) -> Estimate:
    """A figure for which the bootstrap is biased, such as a Fréchet distance, with a jackknife interval.

    A resample of the bootstrap has items twice. A distance between items, or a covariance of few of them,
    changes with that, whatever the sample: the percentile interval of a Fréchet distance lay wholly above the
    distance itself in all of 60 trials with normal features (40 or 200 items of 32 or 72 features against
    400). The interval is ± 1.96 of Tukey's standard errors, leaving out one item at a time.

    Args:
        statistic: figure of the items with the given indices.
        items: N.
        least: smallest possible value of the statistic; the interval does not go below.

    Returns:
        The estimate, without an interval for fewer than three items.
    """
    every = np.arange(items)
    value = statistic(every)
    if items < FEWEST_ITEMS:
        return Estimate(value, groups=items)
    without = np.array([statistic(np.delete(every, item)) for item in every])
    error = float(np.sqrt((items - 1) * np.mean((without - without.mean()) ** 2)))
    return Estimate(value, max(value - TWO_SIDED * error, least), value + TWO_SIDED * error, items)

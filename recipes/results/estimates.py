"""Estimates with 95 % intervals.

Items of one group (clips of a piece, of an artist, of a drummer) resemble each other, and a claim should hold
for other groups. Therefore every group has the same weight in a mean, and the bootstrap draws groups, not
items.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
"""Number of resamples for the interval of a mean."""

MIN_DEFINED_SHARE = 0.5
"""Share of resamples in which a statistic must be defined to have an interval."""

MIN_JACKKNIFE_ITEMS = 3
"""With fewer items, the jackknife would compute a statistic of two items from one."""

Z_95 = 1.96
"""Standard errors from an estimate to either end of its 95 % interval."""

Items = NDArray[np.int64]
"""(N,) indices of the items of a resample; an index may occur more than once."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    """NaN where it is undefined."""
    low: float = float("nan")
    """NaN without an interval: a single group does not allow one."""
    high: float = float("nan")
    groups: int = 0
    """Number of groups that the value is computed from."""

    def text(self, sign: str = "", undefined: str = "–") -> str:
        """The value and its interval with three decimals.

        Args:
            sign: ``+`` for differences.
            undefined: text for a NaN value.
        """
        if np.isnan(self.value):
            return undefined
        if np.isnan(self.low):
            return f"{self.value:{sign}.3f}"
        return f"{self.value:{sign}.3f} [{self.low:{sign}.3f}, {self.high:{sign}.3f}]"

    @property
    def standard_error(self) -> float:
        """Standard error from the width of the interval; 0 without an interval."""
        return 0.0 if np.isnan(self.low) else (self.high - self.low) / (2 * Z_95)

    def metrics(self, name: str) -> dict[str, float]:
        """The value as ``name``, the ends as ``name_low`` and ``name_high``; NaN is left out."""
        metrics = {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}
        return {key: value for key, value in metrics.items() if not np.isnan(value)}


def mean_estimate(
    values: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Mean over groups of the means of their items, with a percentile bootstrap interval over groups.

    Args:
        values: (N,) values of items; NaN is left out.
        groups: (N,) groups of items; None if every item is its own group.
        resamples: number of resamples.
        seed: seed of the resampling.

    Returns:
        The estimate; its value is NaN if there are no values.
    """
    from scipy.stats import bootstrap

    means = group_means(values, groups)
    value = float(means.mean()) if len(means) else float("nan")
    if len(means) < 2:
        return Estimate(value, groups=len(means))
    if np.ptp(means) == 0:  # Rounding may move the means of resamples.
        return Estimate(value, value, value, len(means))
    result = bootstrap(
        (means,),
        np.mean,
        n_resamples=resamples,
        batch=1000,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Estimate(value, float(low), float(high), len(means))


def group_means(values: ArrayLike, groups: Sequence[Any] | NDArray[Any] | None = None) -> NDArray[np.float64]:
    """(G,) means of the items of each group, in the order of the sorted groups; NaN is left out.

    Args:
        values: (N,) values of items.
        groups: (N,) groups of items; None if every item is its own group, in the given order.
    """
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64).reshape(-1)
    defined = ~np.isnan(array)
    array = array[defined]
    if groups is None:
        return array
    _, group, count = np.unique(np.asarray(groups)[defined], return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(group, array, len(count)) / count)


def group_weights(groups: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
    """(N,) weights of items: they sum to 1, and every group has the same sum."""
    _, group, count = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (count[group] * max(len(count), 1)))


def bootstrap_estimates(
    statistic: Callable[[Items], NDArray[np.float64]],
    groups: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """Statistics that are not means over items, such as macro F1, with bootstrap intervals over groups.

    Args:
        statistic: computes (M,) values from the items with the given indices; NaN where undefined.
        groups: (N,) groups of items.
        resamples: number of resamples; each has as many groups as the data.
        seed: seed of the resampling.

    Returns:
        M estimates from all N items. There is no interval for a single group, nor for a value that is
        undefined in more than half of the resamples.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    names, number = np.unique(np.asarray(groups), return_inverse=True)
    values = statistic(np.arange(len(groups)))
    if len(names) < 2:
        return [Estimate(float(value), groups=len(names)) for value in values]
    members = [np.flatnonzero(number == group) for group in range(len(names))]
    with warnings.catch_warnings():
        # SciPy's own interval is NaN if any resample is.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        distribution = bootstrap(
            (np.arange(len(names)),),
            lambda sample: statistic(np.concatenate([members[group] for group in sample])),
            n_resamples=resamples,
            method="percentile",
            vectorized=False,
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    defined = np.isfinite(distribution).mean(1) >= MIN_DEFINED_SHARE
    ends = np.full((2, len(values)), np.nan)
    ends[:, defined] = np.nanpercentile(distribution[defined], [2.5, 97.5], axis=1)
    return [
        Estimate(float(value), float(low), float(high), len(names))
        for value, low, high in zip(values, *ends, strict=True)
    ]


def jackknife_estimate(
    statistic: Callable[[Items], float], items: int, minimum: float = float("-inf")
) -> Estimate:
    """A statistic for which the bootstrap is biased, such as a Fréchet distance, with a jackknife interval.

    A resample of the bootstrap repeats items, which biases distances between items and covariances of few
    items: the percentile interval of a Fréchet distance lay entirely above the distance itself in all of 60
    trials with normal features (40 or 200 items of 32 or 72 features against 400). The interval is ± 1.96
    of Tukey's standard errors, leaving out one item at a time.

    Args:
        statistic: computes a value from the items with the given indices.
        items: number of items, N.
        minimum: smallest possible value of the statistic; the interval does not extend below it.

    Returns:
        The estimate, without an interval for fewer than three items.
    """
    indices = np.arange(items)
    value = statistic(indices)
    if items < MIN_JACKKNIFE_ITEMS:
        return Estimate(value, groups=items)
    leave_one_out = np.array([statistic(np.delete(indices, item)) for item in indices])
    error = float(np.sqrt((items - 1) * np.mean((leave_one_out - leave_one_out.mean()) ** 2)))
    return Estimate(value, max(value - Z_95 * error, minimum), value + Z_95 * error, items)

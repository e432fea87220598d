"""How far a statistic can be trusted that is no mean of items: the percentile bootstrap over groups.

Clips of one artist, drummer or note are much alike, and a claim is to hold for others: so groups are drawn
anew, not clips. For means of pieces, see :mod:`recipes.statistics.mean_interval`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST = 0.5
"""Share of resamples in which a statistic must be defined for its interval to be given."""


def group_interval(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    groups: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """2.5 and 97.5 % points of a statistic when groups are drawn anew with replacement.

    Args:
        statistic: (M,) figures of the items with the given indices, which may come more than once; NaN
            where a figure is not defined for them.
        groups: (N,) of each item.
        resamples: how often as many groups as there are are drawn.
        seed: of the draws.

    Returns:
        Two of shape (M,), NaN where a figure is undefined too often; None for a single group, which says
        nothing about others.
    """
    names, number = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return None
    members = [np.flatnonzero(number == group) for group in range(len(names))]
    generator = np.random.default_rng(seed)
    drawn = [
        statistic(np.concatenate([members[group] for group in generator.integers(0, len(names), len(names))]))
        for _ in range(resamples)
    ]
    values = np.stack(drawn)
    often = np.isfinite(values).mean(0) >= FEWEST
    ends = np.full((2, values.shape[1]), np.nan)
    ends[:, often] = np.nanpercentile(values[:, often], [2.5, 97.5], axis=0)
    return ends[0], ends[1]

"""How far a statistic can be trusted that a bootstrap would bend: the jackknife, leaving out one at a time.

A resample of the bootstrap has items twice. A distance between items, or a covariance of few of them, is
another one then whatever the sample: the percentile interval of a Fréchet distance lay wholly above the
distance itself in all of 60 trials with normal features (40 or 200 items of 32 or 72 features against 400).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FEWEST = 3
"""Items, or a statistic of two would have to be computed of one."""


def jackknife_interval(
    statistic: Callable[[NDArray[np.int64]], float], items: int
) -> tuple[float, float] | None:
    """95 % interval of a statistic: its value ± 1.96 of Tukey's jackknife standard errors.

    Args:
        statistic: of the items with the given indices.
        items: N.

    Returns:
        Its ends, or None for fewer than three items.
    """
    if items < FEWEST:
        return None
    every = np.arange(items)
    without = np.array([statistic(np.delete(every, item)) for item in every])
    error = np.sqrt((items - 1) * np.mean((without - without.mean()) ** 2))
    value = statistic(every)
    return value - 1.96 * error, value + 1.96 * error

"""How far a mean can be trusted: the 95 % percentile bootstrap, for every table and report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000


def mean_interval(
    values: NDArray[np.float64], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """2.5 and 97.5 % points of the mean of rows drawn anew with replacement.

    Rows are what a claim is to hold beyond: pieces, not their beats.

    Args:
        values: (N,) or (N, M); all columns of a row are drawn together.
        resamples: how often N rows are drawn.
        seed: of the draws.

    Returns:
        Two of shape () or (M,), or None for a single row, which says nothing about others.
    """
    from scipy.stats import bootstrap

    if len(values) < 2:
        return None
    if np.ptp(values, axis=0).max() == 0:  # SciPy warns of a degenerate distribution here.
        return values[0].copy(), values[0].copy()
    drawn = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=1000,
        axis=0,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return drawn.confidence_interval.low, drawn.confidence_interval.high

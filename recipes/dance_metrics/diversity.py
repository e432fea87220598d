"""How much dances differ from each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from recipes.dance_metrics.normalisation import checked_features
from recipes.results.estimates import Estimate, Items, jackknife_estimate


def diversity(features: NDArray[np.floating[Any]]) -> Estimate:
    """Mean Euclidean distance over all pairs of dances, with a jackknife interval.

    Source: Li et al., "AI Choreographer", ICCV 2021: Divk of kinetic, Divg of geometric features, which
    mint and Bailando normalise by the true dances' mean and standard deviation; give them so. Near the
    truth's own is good: a high figure may be noise.

    Args:
        features: (N, F) normalised, N at least 2.

    Raises:
        DataError: fewer dances, another shape, or NaN.
    """
    apart = squareform(pdist(checked_features(features, 2)))  # once, for all subsets

    def mean(chosen: Items) -> float:
        return float(apart[np.ix_(chosen, chosen)].sum() / (len(chosen) * (len(chosen) - 1)))

    return jackknife_estimate(mean, len(apart), least=0.0)

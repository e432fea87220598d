"""How much dances differ from each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from recipes.dance_metrics.normalisation import checked_features


def diversity(features: NDArray[np.floating[Any]]) -> float:
    """Mean Euclidean distance over all pairs of dances.

    Source: Li et al., "AI Choreographer", ICCV 2021: Divk of kinetic, Divg of geometric features, which
    mint and Bailando normalise by the true dances' mean and standard deviation; give them so. Near the
    truth's own is good: a high figure may be noise.

    Args:
        features: (N, F) normalised, N at least 2.

    Raises:
        DataError: fewer dances, another shape, or NaN.
    """
    return float(pdist(checked_features(features, 2)).mean())

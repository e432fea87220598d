"""How far the features of generated dances lie from those of true ones: the Fréchet distance, called FID.

FIDk is over kinetic features, FIDg over geometric ones, both normalised by the true dances' mean and
standard deviation, as Bailando (utils/metrics_new.py) and mint (tools/calculate_fid_scores.py) do; those
take the square root of a matrix by scipy's ``sqrtm``, add 1e-5 or 1e-6 to the covariances where it fails,
and drop imaginary parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, svdvals

from recipes.dance_metrics.normalisation import checked_features, truth_scale


@dataclass(frozen=True)
class FrechetDistance:
    """A distance, and what is to be known of it."""

    value: float
    """At least 0, a squared distance in standard deviations of the truth."""
    warnings: tuple[str, ...]
    """Sentences on too few dances or features that never vary; none where all is well."""


def frechet_distance(
    generated: NDArray[np.floating[Any]], truth: NDArray[np.floating[Any]]
) -> FrechetDistance:
    """Fréchet distance of two sets of features, normalised by the second one's mean and standard deviation.

    A covariance of F features is singular for fewer than F + 1 dances. The distance is defined and computed
    all the same, and its warnings say so: it then depends on the number of dances, and compares with others
    of that number alone.

    Args:
        generated: (N, F), N at least 2.
        truth: (M, F), M at least 2.

    Raises:
        DataError: fewer dances than two, NaN, other shapes, or true dances that are all alike.
    """
    scale = truth_scale(truth)
    generated = checked_features(generated, 2)
    value = gaussian_distance(scale.normalised(generated), scale.normalised(truth))
    features = int(scale.varies.sum())
    few: tuple[str, ...] = ()
    if min(len(generated), len(truth)) < features + 1:
        few = (
            f"{len(generated)} generated and {len(truth)} true dances for {features} features: a covariance "
            f"needs {features + 1}, so this distance compares only with those of as many dances",
        )
    return FrechetDistance(value, (*scale.warnings, *few))


def gaussian_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """|μ₁ - μ₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½) of the normal distributions fitted to two sets.

    With C₁ = AᵀA and C₂ = BᵀB, the eigenvalues of C₁ C₂ are the squared singular values of A Bᵀ. So the
    trace of the root is their sum, at any rank: no matrix root, no imaginary part, no NaN [O].

    Args:
        one: (N, F), N at least 2.
        other: (M, F), M at least 2.
    """
    first, second = _root(one), _root(other)
    difference = one.mean(axis=0) - other.mean(axis=0)
    spread = (first**2).sum() + (second**2).sum() - 2 * svdvals(first @ second.T).sum()
    return max(float(difference @ difference + spread), 0.0)


def _root(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """(min(N, F), F) whose product with itself is the covariance."""
    deviations = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    (root,) = qr(deviations, mode="r", check_finite=False)
    small: NDArray[np.float64] = root[: features.shape[1]]
    return small

"""Fréchet distance and diversity of dance features, standardised by the true dances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, svdvals
from scipy.spatial.distance import pdist, squareform

from motion_data.errors import DataError
from recipes.results.estimates import Estimate, Items, jackknife_estimate

MIN_RELATIVE_DEVIATION = 1e-9
"""A feature varies if its standard deviation exceeds this share of its mean."""


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each feature over the true dances."""

    mean: NDArray[np.float64]
    """(F,)."""
    std: NDArray[np.float64]
    """(F,)."""

    @property
    def varies(self) -> NDArray[np.bool_]:
        """(F,) whether a feature varies among the true dances."""
        return np.asarray(self.std > MIN_RELATIVE_DEVIATION * (MIN_RELATIVE_DEVIATION + np.abs(self.mean)))

    def normalised(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(N, F) features standardised to (N, F'), for the F' features that vary.

        Published code divides by the deviation + 1e-10. This is equal for features that vary; for others, a
        small difference in one generated dance would dominate, so they are left out [O].

        Raises:
            DataError: another number of features, fewer than two dances, or NaN.
        """
        features = checked_features(features)
        if features.shape[1] != len(self.mean):
            raise DataError(f"{features.shape[1]} features; expected {len(self.mean)}, as of the true dances")
        normalised: NDArray[np.float64] = ((features - self.mean) / np.where(self.varies, self.std, 1.0))[
            :, self.varies
        ]
        return normalised

    def warnings(self, generated: int, truth: int) -> list[str]:
        """Warnings about features that are left out, and about too few dances for a Fréchet distance.

        A covariance of F features is singular for fewer than F + 1 dances. The distance is still defined, but
        depends on the number of dances.
        """
        warnings, varying = [], int(self.varies.sum())
        if varying < len(self.mean):
            warnings.append(
                f"{len(self.mean) - varying} of {len(self.mean)} features are the same in every true dance "
                f"and left out of the distances"
            )
        if min(generated, truth) < varying + 1:
            warnings.append(
                f"{generated} generated and {truth} true dances for {varying} features: a covariance needs "
                f"{varying + 1}, so this distance compares only with those of as many dances"
            )
        return warnings


def truth_scale(truth: NDArray[np.floating[Any]]) -> Scale:
    """The scale of (M, F) features of true dances.

    Raises:
        DataError: fewer than two dances, NaN, or identical dances.
    """
    truth = checked_features(truth)
    scale = Scale(truth.mean(axis=0), truth.std(axis=0))
    if not scale.varies.any():
        raise DataError(f"the {len(truth)} true dances are identical; give different ones")
    return scale


def checked_features(features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, F) float64 features of at least two dances.

    Raises:
        DataError: another shape, too few, or NaN.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2:
        raise DataError(f"features of shape {features.shape}; expected (N, F), a row per dance")
    if len(features) < 2:
        raise DataError(f"features of {len(features)} dance(s); expected at least 2: give more dances")
    bad = int((~np.isfinite(features)).sum())
    if bad:
        raise DataError(f"{bad} of {features.size} features are NaN or infinite; leave those dances out")
    return features


def gaussian_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """|μ₁ - μ₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½) of the normal distributions fitted to two sets: the Fréchet
    distance, called FID.

    FIDk is over kinetic features, FIDg over geometric ones, both on the truth's scale as in Bailando
    (utils/metrics_new.py) and mint (tools/calculate_fid_scores.py). Those take the square root of a matrix by
    scipy's ``sqrtm``, add 1e-5 or 1e-6 to the covariances where it fails, and drop imaginary parts.

    With C₁ = AᵀA and C₂ = BᵀB, the eigenvalues of C₁ C₂ are the squared singular values of A Bᵀ. So the
    trace of the root is their sum, at any rank: no matrix root, no imaginary part, no NaN [O].

    Args:
        one: (N, F), N at least 2.
        other: (M, F), M at least 2.
    """
    first, second = _root(x), _root(y)
    difference = x.mean(axis=0) - y.mean(axis=0)
    spread = (first**2).sum() + (second**2).sum() - 2 * svdvals(first @ second.T).sum()
    return max(float(difference @ difference + spread), 0.0)


def _root(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """(min(N, F), F) matrix R with RᵀR the covariance."""
    deviations = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    (root,) = qr(deviations, mode="r", check_finite=False)
    return np.asarray(root[: features.shape[1]])


def diversity(features: NDArray[np.floating[Any]]) -> Estimate:
    """Mean Euclidean distance over all pairs of dances, with a jackknife interval.

    Source: Li et al., "AI Choreographer", ICCV 2021: Divk of kinetic, Divg of geometric features, which
    mint and Bailando standardise by the true dances. It should be near that of the true dances: high values
    may be noise.

    Args:
        features: (N, F) normalised, N at least 2.

    Raises:
        DataError: fewer dances, another shape, or NaN.
    """
    distances = squareform(pdist(checked_features(features)))  # once for all subsets

    def mean(items: Items) -> float:
        return float(distances[np.ix_(items, items)].sum() / (len(items) * (len(items) - 1)))

    return jackknife_estimate(mean, len(distances), minimum=0.0)

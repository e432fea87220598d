"""Distances between the features of dances, on the true dances' scale: the Fréchet distance and diversity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, svdvals
from scipy.spatial.distance import pdist, squareform

from motion_data.errors import DataError
from recipes.results.estimates import Estimate, Items, jackknife_estimate

CONSTANT = 1e-9
"""A feature varies if its standard deviation is above this share of its size."""


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each feature over the true dances."""

    mean: NDArray[np.float64]
    """(F,)."""
    std: NDArray[np.float64]
    """(F,)."""

    @property
    def varies(self) -> NDArray[np.bool_]:
        """(F,) whether a feature differs between true dances at all."""
        return np.asarray(self.std > CONSTANT * (CONSTANT + np.abs(self.mean)))

    def normalised(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(N, F) features as (N, F') numbers of standard deviations, of the F' features that vary.

        Published code divides by the deviation + 1e-10. That is the same where a feature varies; where it
        does not, one generated dance that differs a little would decide everything, so such a feature is
        left out [O].

        Raises:
            DataError: another number of features, fewer than two dances, or NaN.
        """
        features = checked_features(features)
        if features.shape[1] != len(self.mean):
            raise DataError(f"{features.shape[1]} features, and {len(self.mean)} of the truth; give the same")
        normalised: NDArray[np.float64] = ((features - self.mean) / np.where(self.varies, self.std, 1.0))[
            :, self.varies
        ]
        return normalised

    def warnings(self, generated: int, truth: int) -> list[str]:
        """Sentences on features that are left out, and on fewer dances than a Fréchet distance needs.

        A covariance of F features is singular for fewer than F + 1 dances. The distance is defined and
        computed all the same; it then depends on the number of dances.
        """
        sentences, varying = [], int(self.varies.sum())
        if varying < len(self.mean):
            sentences.append(
                f"{len(self.mean) - varying} of {len(self.mean)} features are the same in every true dance "
                f"and left out of the distances"
            )
        if min(generated, truth) < varying + 1:
            sentences.append(
                f"{generated} generated and {truth} true dances for {varying} features: a covariance needs "
                f"{varying + 1}, so this distance compares only with those of as many dances"
            )
        return sentences


def truth_scale(truth: NDArray[np.floating[Any]]) -> Scale:
    """The scale of (M, F) features of true dances.

    Raises:
        DataError: fewer than two dances, NaN, or dances that are all alike.
    """
    truth = checked_features(truth)
    scale = Scale(truth.mean(axis=0), truth.std(axis=0))
    if not scale.varies.any():
        raise DataError(f"the {len(truth)} true dances are all alike; give different ones")
    return scale


def checked_features(features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, F) float64 features of at minimum two dances.

    Raises:
        DataError: another shape, too few, or NaN.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2:
        raise DataError(f"features of shape {features.shape}; expected (N, F), a row a dance")
    if len(features) < 2:
        raise DataError(f"features of {len(features)} dance(s); expected at minimum 2: give more dances")
    bad = int((~np.isfinite(features)).sum())
    if bad:
        raise DataError(f"{bad} of {features.size} features are NaN or infinite; leave those dances out")
    return features


def gaussian_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """|μ₁ - μ₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½) of the normal distributions fitted to two sets: the Fréchet
    distance, called FID.

    FIDk is over kinetic features, FIDg over geometric ones, both on the truth's scale as in Bailando
    (utils/metrics_new.py) and mint (tools/calculate_fid_scores.py). Those take the square root of a matrix by
    scipy's ``sqrtm``, add 1e-5 or 1e-6 to the covariances where it fails, and drop imaginary parts.

    With C₁ = AᵀA and C₂ = BᵀB, the eigenvalues of C₁ C₂ are the squared singular values of A Bᵀ. So the
    trace of the root is their sum, at any rank: no matrix root, no imaginary part, no NaN [O].

    Args:
        one: (N, F), N at minimum 2.
        other: (M, F), M at minimum 2.
    """
    first, second = _root(one), _root(other)
    difference = one.mean(axis=0) - other.mean(axis=0)
    spread = (first**2).sum() + (second**2).sum() - 2 * svdvals(first @ second.T).sum()
    return max(float(difference @ difference + spread), 0.0)


def _root(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """(min(N, F), F) whose product with itself is the covariance."""
    deviations = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    (root,) = qr(deviations, mode="r", check_finite=False)
    return np.asarray(root[: features.shape[1]])


def diversity(features: NDArray[np.floating[Any]]) -> Estimate:
    """Mean Euclidean distance over all pairs of dances, with a jackknife interval.

    Source: Li et al., "AI Choreographer", ICCV 2021: Divk of kinetic, Divg of geometric features, which
    mint and Bailando normalise by the true dances' mean and standard deviation; give them so. Near the
    truth's own is good: a high figure may be noise.

    Args:
        features: (N, F) normalised, N at minimum 2.

    Raises:
        DataError: fewer dances, another shape, or NaN.
    """
    apart = squareform(pdist(checked_features(features)))  # once, for all subsets

    def mean(chosen: Items) -> float:
        return float(apart[np.ix_(chosen, chosen)].sum() / (len(chosen) * (len(chosen) - 1)))

    return jackknife_estimate(mean, len(apart), minimum=0.0)

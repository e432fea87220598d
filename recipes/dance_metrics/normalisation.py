"""Features of dances on the true dances' scale, as every distance between them is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError

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
        varies: NDArray[np.bool_] = self.std > CONSTANT * (CONSTANT + np.abs(self.mean))
        return varies

    def normalised(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(N, F) features as (N, F') numbers of standard deviations, of the F' features that vary.

        Published code divides by the deviation + 1e-10. That is the same where a feature varies; where it
        does not, one generated dance that differs a little would decide everything, so such a feature is
        left out [O].

        Raises:
            DataError: another number of features, or NaN.
        """
        features = checked_features(features, 1)
        if features.shape[1] != len(self.mean):
            raise DataError(f"{features.shape[1]} features, and {len(self.mean)} of the truth; give the same")
        normalised: NDArray[np.float64] = ((features - self.mean) / np.where(self.varies, self.std, 1.0))[
            :, self.varies
        ]
        return normalised

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence where features are left out."""
        constant = int((~self.varies).sum())
        if not constant:
            return ()
        return (
            f"{constant} of {len(self.mean)} features are the same in every true dance and left out of "
            f"the distances",
        )


def truth_scale(truth: NDArray[np.floating[Any]]) -> Scale:
    """The scale of (M, F) features of true dances.

    Raises:
        DataError: fewer than two dances, NaN, or dances that are all alike.
    """
    truth = checked_features(truth, 2)
    scale = Scale(truth.mean(axis=0), truth.std(axis=0))
    if not scale.varies.any():
        raise DataError(f"the {len(truth)} true dances are all alike; give different ones")
    return scale


def checked_features(features: NDArray[np.floating[Any]], fewest: int) -> NDArray[np.float64]:
    """(N, F) float64 features of at least so many dances.

    Raises:
        DataError: another shape, too few, or NaN.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2:
        raise DataError(f"features of shape {features.shape}; expected (N, F), a row a dance")
    if len(features) < fewest:
        raise DataError(f"features of {len(features)} dance(s); expected at least {fewest}: give more dances")
    bad = int((~np.isfinite(features)).sum())
    if bad:
        raise DataError(f"{bad} of {features.size} features are NaN or infinite; leave those dances out")
    return features

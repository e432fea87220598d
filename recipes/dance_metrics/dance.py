"""A dance to be scored: a body over time, and what is known of its music."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from recipes.dance_metrics.joints import check_joints


@dataclass(frozen=True)
class Dance:
    """One dance. Raises :class:`~motion_data.errors.DataError`, with its name, where the parts cannot be."""

    name: str
    joints: NDArray[np.floating[Any]]
    """(T, 24, 3) SMPL's joints in metres, y up."""
    fps: float
    beats: NDArray[np.float64] | None = None
    """(N,) increasing seconds from frame 0 of the music's beats; those outside the dance are not looked at.
    None where the music is not known."""
    steps: NDArray[np.float64] | None = None
    """(N,) increasing seconds from frame 0 at which feet truly touch down; None where nobody knows."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "joints", np.asarray(self.joints, dtype=np.float64))
        try:
            check_joints(self.joints, self.fps)
            for what in ("beats", "steps"):
                if getattr(self, what) is not None:
                    times = np.asarray(getattr(self, what), dtype=np.float64)
                    object.__setattr__(self, what, times)
                    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                        raise DataError(f"{what}: expected increasing seconds in one dimension")
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from error

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.joints) / self.fps

    def heard(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Those of the (N,) seconds that lie within the dance."""
        inside: NDArray[np.float64] = times[(times >= 0) & (times < self.seconds)]
        return inside

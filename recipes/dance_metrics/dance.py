"""A dance to score: SMPL's 24 joints over time, with the beats of its music."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.motion import MAX_FPS, MIN_FPS
from motion_data.skeleton import INDEX, JOINTS, SMPL_JOINTS

SMPL_INDEX = {name: index for index, name in enumerate(SMPL_JOINTS)}

MIN_SECONDS = 0.5
"""Minimum time from the first frame to the last [O]."""

THIGH_RANGE = (0.1, 1.0)
"""Plausible lengths of a thigh in metres; others indicate another unit or skeleton."""


@dataclass(frozen=True)
class Dance:
    """A dance. Raises :class:`~motion_data.errors.DataError` if its values are invalid."""

    name: str
    joints: NDArray[np.floating[Any]]
    """(T, 24, 3) SMPL's joints in metres, y up."""
    fps: float
    beats: NDArray[np.float64] | None = None
    """(N,) increasing times of the music's beats in seconds from frame 0; those outside the dance are
    ignored. None if unknown."""
    steps: NDArray[np.float64] | None = None
    """(N,) increasing exact times of touch-downs in seconds from frame 0; None if unknown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "joints", np.asarray(self.joints, dtype=np.float64))
        problem = self._problem()
        for name in ("beats", "steps"):
            if getattr(self, name) is not None:
                times = np.asarray(getattr(self, name), dtype=np.float64)
                object.__setattr__(self, name, times)
                if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                    problem = problem or f"{name}: expected increasing seconds in one dimension"
        if problem:
            raise DataError(f"{self.name}: {problem}")

    def _problem(self) -> str:
        """What is wrong with joints and frame rate; empty if nothing."""
        joints, fps = self.joints, self.fps
        if not MIN_FPS <= fps <= MAX_FPS:
            return f"{fps:g} frames per second; expected {MIN_FPS:g} to {MAX_FPS:g}: give the true rate"
        if joints.ndim != 3 or joints.shape[1:] != (len(SMPL_JOINTS), 3):
            return f"joints of shape {joints.shape}; expected (T, 24, 3), SMPL's joints in its order"
        if (len(joints) - 1) / fps < MIN_SECONDS:
            return (
                f"{len(joints)} frames at {fps:g} per second; expected at least {MIN_SECONDS:g} s: leave it "
                "out"
            )
        bad = int((~np.isfinite(joints)).any(axis=2).sum())
        if bad:
            return f"{bad} joint positions are NaN or infinite; fill the gaps, or leave the dance out"
        knee, hip = (joints[:, SMPL_INDEX[name]] for name in ("left_knee", "left_hip"))
        thigh = float(np.median(np.linalg.norm(knee - hip, axis=1)))
        if not THIGH_RANGE[0] <= thigh <= THIGH_RANGE[1]:
            return (
                f"the left thigh is {thigh:.3g} long; expected {THIGH_RANGE[0]:g} to {THIGH_RANGE[1]:g} m: "
                f"give positions of SMPL's joints in metres"
            )
        return ""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.joints) / self.fps

    def times_within(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Those of (N,) times that are within the dance."""
        return np.asarray(times[(times >= 0) & (times < self.seconds)])


HAND_LENGTH = 0.09
"""Distance from the wrist to SMPL's hand joint in metres; 0.087 to 0.090 in the mean shape (offsets in EDGE's
vis.py) [O]."""


def with_hands(joints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Add hands that continue the forearms, for a body without wrist rotations [O].

    Args:
        joints: (T, 22, 3) joints of the common skeleton in metres.

    Returns:
        (T, 24, 3) joints; the left and the right hand are last.

    Raises:
        DataError: another shape.
    """
    joints = np.asarray(joints, dtype=np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(JOINTS), 3):
        raise DataError(f"joints of shape {joints.shape}; expected (T, 22, 3), the common skeleton")
    wrists = joints[:, [INDEX["left_wrist"], INDEX["right_wrist"]]]
    forearms = wrists - joints[:, [INDEX["left_elbow"], INDEX["right_elbow"]]]
    length = np.linalg.norm(forearms, axis=2, keepdims=True)
    direction = np.divide(forearms, length, out=np.zeros_like(forearms), where=length > 0)
    return np.concatenate([joints, wrists + HAND_LENGTH * direction], axis=1)

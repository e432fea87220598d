"""A dance to be scored: SMPL's 24 joints over time, and what is known of its music."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.motion import MAX_FPS, MIN_FPS
from motion_data.skeleton import INDEX, JOINTS, SMPL_JOINTS

SMPL_INDEX = {name: index for index, name in enumerate(SMPL_JOINTS)}

SHORTEST = 0.5
"""Seconds from the first frame to the last that a dance has at least [O]."""

THIGH = (0.1, 1.0)
"""Metres that a thigh may have; what lies outside is in another unit, or no body."""


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
        fault = self._fault()
        for what in ("beats", "steps"):
            if getattr(self, what) is not None:
                times = np.asarray(getattr(self, what), dtype=np.float64)
                object.__setattr__(self, what, times)
                if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                    fault = fault or f"{what}: expected increasing seconds in one dimension"
        if fault:
            raise DataError(f"{self.name}: {fault}")

    def _fault(self) -> str:
        """Why this is no dance; empty where it is one."""
        joints, fps = self.joints, self.fps
        if not MIN_FPS <= fps <= MAX_FPS:
            return f"{fps:g} frames a second; expected {MIN_FPS:g} to {MAX_FPS:g}: give the true rate"
        if joints.ndim != 3 or joints.shape[1:] != (len(SMPL_JOINTS), 3):
            return f"joints of shape {joints.shape}; expected (T, 24, 3), SMPL's joints in its order"
        if (len(joints) - 1) / fps < SHORTEST:
            return f"{len(joints)} frames at {fps:g} a second; expected at least {SHORTEST:g} s: leave it out"
        bad = int((~np.isfinite(joints)).any(axis=2).sum())
        if bad:
            return f"{bad} joint positions are NaN or infinite; fill the gaps, or leave the dance out"
        knee, hip = (joints[:, SMPL_INDEX[name]] for name in ("left_knee", "left_hip"))
        thigh = float(np.median(np.linalg.norm(knee - hip, axis=1)))
        if not THIGH[0] <= thigh <= THIGH[1]:
            return (
                f"the left thigh is {thigh:.3g} long; expected {THIGH[0]:g} to {THIGH[1]:g} m: "
                f"give positions of SMPL's joints in metres"
            )
        return ""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.joints) / self.fps

    def heard(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Those of the (N,) seconds that lie within the dance."""
        return np.asarray(times[(times >= 0) & (times < self.seconds)])


HAND = 0.09
"""Metres from the wrist to SMPL's joint of the hand, to half a centimetre: in the mean shape it is 0.087 to
0.090 (the offsets in EDGE's vis.py) [O]."""


def with_hands(joints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Hands as the forearms' continuation, for a body that does not bend its wrists [O].

    Args:
        joints: (T, 22, 3) of the common skeleton, metres.

    Returns:
        (T, 24, 3): the left and the right hand last.

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
    return np.concatenate([joints, wrists + HAND * direction], axis=1)

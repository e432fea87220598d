"""A motion: where the joints of a body are over time, and when its feet, hands or steps touch down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLOWEST_RATE, FASTEST_RATE = 5.0, 1000.0
"""Frames a second that a motion can be believed to have."""


@dataclass(frozen=True)
class Motion:
    """What a body does, on the clock of the audio it is paired with.

    A step chart or a drummer's pads have pulses and no joints: ``joints`` is then (T, 0, 3).

    Raises ``ValueError`` when the parts do not fit each other or hold no numbers.
    """

    fps: float
    """Frames a second."""
    names: tuple[str, ...]
    """(J,) names of the joints; those of :data:`~motion_data.skeleton.JOINTS` for a body."""
    joints: NDArray[np.floating[Any]]
    """(T, J, 3) positions in metres, y up, the floor near y = 0; float32, whatever is given."""
    start: float = 0.0
    """Seconds from the start of the audio to frame 0; may be negative."""
    rotations: NDArray[np.floating[Any]] | None = None
    """(T, K, 3) rotations of joints ``names[:K]`` against their parents, as axis times angle in radians."""
    pulses: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Touch-downs by limb (``left_foot``, ``right_foot``, ``left_hand``, ...): (N,) seconds of the audio,
    increasing."""

    def __post_init__(self) -> None:
        joints = np.asarray(self.joints, dtype=np.float32)
        object.__setattr__(self, "joints", joints)
        pulses = {limb: np.asarray(times, dtype=np.float64) for limb, times in self.pulses.items()}
        object.__setattr__(self, "pulses", pulses)
        if not SLOWEST_RATE <= self.fps <= FASTEST_RATE:
            raise ValueError(f"{self.fps:g} frames a second; expected {SLOWEST_RATE:g} to {FASTEST_RATE:g}")
        if not np.isfinite(self.start):
            raise ValueError(f"the first frame is at {self.start} s; expected a number")
        if joints.ndim != 3 or joints.shape[1:] != (len(self.names), 3) or len(joints) < 2:
            raise ValueError(
                f"joints of shape {joints.shape}; expected (T, {len(self.names)}, 3) with T at least 2"
            )
        if not np.isfinite(joints).all():
            raise ValueError(f"{int((~np.isfinite(joints)).sum())} coordinates are NaN or infinite")
        if self.rotations is not None:
            rotations = np.asarray(self.rotations, dtype=np.float32)
            object.__setattr__(self, "rotations", rotations)
            if rotations.ndim != 3 or len(rotations) != len(joints) or rotations.shape[2] != 3:
                raise ValueError(f"rotations of shape {rotations.shape}; expected ({len(joints)}, K, 3)")
            if rotations.shape[1] > len(self.names) or not np.isfinite(rotations).all():
                raise ValueError("rotations of more joints than are named, or that are no numbers")
        for limb, times in pulses.items():
            if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                raise ValueError(f"pulses of {limb}: expected increasing seconds in one dimension")

    @property
    def frames(self) -> int:
        """T."""
        return len(self.joints)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.fps

    @property
    def times(self) -> NDArray[np.float64]:
        """(T,) seconds of the audio at which each frame stands."""
        times: NDArray[np.float64] = self.start + np.arange(self.frames) / self.fps
        return times

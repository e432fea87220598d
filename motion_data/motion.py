"""A motion: where the joints of a body are over time, and when its feet, hands or steps touch down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motionbeat_upstream.config import SAMPLE_RATE

FRAME_TOLERANCE_SECONDS = 0.5 / SAMPLE_RATE + 1e-8
"""Seconds within which a time counts as that of a frame: sound is cut at whole samples, half a sample off at
most."""

MIN_FPS, MAX_FPS = 5.0, 1000.0
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
        if not MIN_FPS <= self.fps <= MAX_FPS:
            raise ValueError(f"{self.fps:g} frames a second; expected {MIN_FPS:g} to {MAX_FPS:g}")
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
        return self.start + np.arange(self.frames) / self.fps

    def frames_between(self, start: float, stop: float, margin: float = 0.0) -> tuple[int, int]:
        """The frames that cover a stretch, from the last one at or before ``start`` on.

        Args:
            start: seconds of the audio.
            stop: the same.
            margin: seconds to either side that are added, in whole frames.

        Returns:
            Index of the first frame, and of the first one at or after ``stop``, both in [0, T].
        """
        begin, around = self._frame_index(start), math.floor(margin * self.fps + 1e-6)
        first = math.floor(begin) - around
        last = math.ceil(begin + (stop - start) * self.fps - 1e-6) + around
        return min(max(first, 0), self.frames), min(max(last, 0), self.frames)

    def between(self, start: float, stop: float, margin: float = 0.0) -> Motion:
        """The motion from ``start`` to ``stop``, on a clock that begins at ``start``.

        Frames are those of :meth:`frames_between`, neither moved nor resampled, so ``start`` of the result is
        the time of its first frame: 0 or a little less, or more where the motion begins later. A motion
        without joints is silent beyond its ends instead of ending: it is as long as was asked for.

        Args:
            start: seconds of the audio.
            stop: the same, beyond ``start``.
            margin: seconds to either side that are kept, where the motion has them. Touch-downs are kept in
                [0, stop - start) without a margin, while the frames last with one.

        Raises:
            DataError: the motion has fewer than two frames there.
        """
        around = math.floor(margin * self.fps + 1e-6)
        if self.names:
            begin = self._frame_index(start)
            first, last = self.frames_between(start, stop, margin)
            if last - first < 2:
                found, ends = max(last - first, 0), f"{self.times[0]:.2f} to {self.times[-1]:.2f} s"
                raise DataError(
                    f"a stretch from {start:.2f} to {stop:.2f} s holds {found} frame(s) of the motion, which "
                    f"stands from {ends}; expected at least 2"
                )
            joints = self.joints[first:last]
            rotations = None if self.rotations is None else self.rotations[first:last]
        else:
            begin, first = 0.0, -around
            frames = math.ceil((stop - start) * self.fps - 1e-6) + 2 * around
            joints, rotations = np.zeros((max(2, frames), 0, 3), dtype=np.float32), None
        earliest, latest = (first - begin) / self.fps, (first - begin + len(joints)) / self.fps
        low, high = (earliest, latest) if around else (0.0, stop - start)
        pulses = {
            limb: times[(times >= start + low) & (times < start + high)] - start
            for limb, times in self.pulses.items()
        }
        return replace(self, joints=joints, start=earliest, rotations=rotations, pulses=pulses)

    def at_rate(self, fps: float, speed: float = 1.0) -> Motion:
        """The motion at another frame rate, played faster or slower; its start and touch-downs move with it.

        Args:
            fps: frames a second of the result, 5 to 1000; frame 0 stays where it is.
            speed: how fast it is played: 2 halves all times.

        Raises:
            DataError: a rate that cannot be, or a motion too short for two frames.
        """
        if fps == self.fps and speed == 1.0:
            return self
        # scipy's filters take a while to import, and most of what handles motions resamples none.
        from motion_data.body.resampling import resample_positions, resample_rotations

        rotations = self.rotations
        if self.names:
            joints = resample_positions(self.joints, self.fps * speed, fps)
            if rotations is not None:
                rotations = resample_rotations(rotations, self.fps * speed, fps)
            if len(joints) < 2:
                raise DataError(
                    f"the motion lasts {self.seconds / speed:.2f} s; expected two frames at {fps:g} a second"
                )
        else:
            joints = np.zeros((max(2, math.ceil(self.seconds / speed * fps - 1e-6)), 0, 3))
        pulses = {limb: times / speed for limb, times in self.pulses.items()}
        return replace(
            self, fps=fps, joints=joints, start=self.start / speed, rotations=rotations, pulses=pulses
        )

    def shift(self, seconds: float) -> Motion:
        """The same motion that much later."""
        pulses = {limb: times + seconds for limb, times in self.pulses.items()}
        return replace(self, start=self.start + seconds, pulses=pulses)

    def _frame_index(self, time: float) -> float:
        """Index of the frame at a time, whole where one stands there."""
        frame = (time - self.start) * self.fps
        return (
            float(round(frame)) if abs(frame - round(frame)) <= FRAME_TOLERANCE_SECONDS * self.fps else frame
        )

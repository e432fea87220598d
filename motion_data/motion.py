"""Motions: joint positions over time, and the touch-downs of feet, hands or steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motionbeat_upstream.config import SAMPLE_RATE

FRAME_TOLERANCE_SECONDS = 0.5 / SAMPLE_RATE + 1e-8
"""A time this close to a frame counts as that frame's: sound is cut at whole samples."""

MIN_FPS, MAX_FPS = 5.0, 1000.0
"""Range of plausible frame rates."""


@dataclass(frozen=True)
class Motion:
    """A motion on the clock of the audio that it is paired with.

    A step chart or the pads of a drummer have pulses but no joints; ``joints`` is then (T, 0, 3).

    Raises:
        ValueError: shapes do not fit each other, or values are NaN or infinite.
    """

    fps: float
    """Frames per second."""
    names: tuple[str, ...]
    """(J,) joint names; those of :data:`~motion_data.skeleton.JOINTS` for a body."""
    joints: NDArray[np.floating[Any]]
    """(T, J, 3) positions in metres, y up, the floor near y = 0; converted to float32."""
    start: float = 0.0
    """Seconds from the start of the audio to frame 0; may be negative."""
    rotations: NDArray[np.floating[Any]] | None = None
    """(T, K, 3) rotations of joints ``names[:K]`` relative to their parents: axis times angle in radians."""
    pulses: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Touch-downs by limb (``left_foot``, ``right_foot``, ``left_hand``, ...): (N,) increasing seconds of the
    audio."""

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
                raise ValueError(
                    f"rotations of {rotations.shape[1]} joints; expected finite numbers for at most the "
                    f"{len(self.names)} joints that are named"
                )
        for limb, times in pulses.items():
            if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                raise ValueError(f"pulses of {limb}: expected increasing seconds in one dimension")

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.joints)

    @property
    def seconds(self) -> float:
        """Length, T / fps."""
        return self.frames / self.fps

    @property
    def times(self) -> NDArray[np.float64]:
        """(T,) time of each frame in seconds of the audio."""
        return self.start + np.arange(self.frames) / self.fps

    def frames_between(self, start: float, stop: float, margin: float = 0.0) -> tuple[int, int]:
        """Return the range of frames that covers a span, from the last frame at or before ``start``.

        Args:
            start: seconds of the audio.
            stop: seconds of the audio.
            margin: seconds added at either side, rounded down to whole frames.

        Returns:
            Index of the first frame, and of the first one at or after ``stop``, both in [0, T].
        """
        begin, margin_frames = self._frame_index(start), math.floor(margin * self.fps + 1e-6)
        first = math.floor(begin) - margin_frames
        last = math.ceil(begin + (stop - start) * self.fps - 1e-6) + margin_frames
        return min(max(first, 0), self.frames), min(max(last, 0), self.frames)

    def between(self, start: float, stop: float, margin: float = 0.0) -> Motion:
        """Cut the motion from ``start`` to ``stop``; the clock of the result begins at ``start``.

        The frames are those of :meth:`frames_between`, neither moved nor resampled. ``start`` of the result
        is the time of its first frame: 0 or slightly less, or more if the motion begins later. A motion
        without joints always has the requested length, with no touch-downs beyond its ends.

        Args:
            start: seconds of the audio.
            stop: seconds of the audio, above ``start``.
            margin: seconds kept at either side if the motion has them. Touch-downs are kept in
                [0, stop - start) without a margin, and within the kept frames with one.

        Raises:
            DataError: the motion has fewer than two frames there.
        """
        margin_frames = math.floor(margin * self.fps + 1e-6)
        if self.names:
            begin = self._frame_index(start)
            first, last = self.frames_between(start, stop, margin)
            if last - first < 2:
                raise DataError(
                    f"the span from {start:.2f} to {stop:.2f} s contains {max(last - first, 0)} frame(s) of "
                    f"the motion, which lasts from {self.times[0]:.2f} to {self.times[-1]:.2f} s; "
                    f"expected at least 2"
                )
            joints = self.joints[first:last]
            rotations = None if self.rotations is None else self.rotations[first:last]
        else:
            begin, first = 0.0, -margin_frames
            frames = math.ceil((stop - start) * self.fps - 1e-6) + 2 * margin_frames
            joints, rotations = np.zeros((max(2, frames), 0, 3), dtype=np.float32), None
        earliest, latest = (first - begin) / self.fps, (first - begin + len(joints)) / self.fps
        low, high = (earliest, latest) if margin_frames else (0.0, stop - start)
        pulses = {
            limb: times[(times >= start + low) & (times < start + high)] - start
            for limb, times in self.pulses.items()
        }
        return replace(self, joints=joints, start=earliest, rotations=rotations, pulses=pulses)

    def at_rate(self, fps: float, speed: float = 1.0) -> Motion:
        """Change the frame rate and the speed; start and touch-downs are scaled with the speed.

        Args:
            fps: frames per second of the result, 5 to 1000; frame 0 remains the first.
            speed: factor of the speed; 2 halves all times.

        Raises:
            DataError: the frame rate is out of range, or the motion is too short for two frames.
        """
        if fps == self.fps and speed == 1.0:
            return self
        # The import of scipy's filters is slow and rarely needed.
        from motion_data.body.resampling import resample_positions, resample_rotations

        rotations = self.rotations
        if self.names:
            joints = resample_positions(self.joints, self.fps * speed, fps)
            if rotations is not None:
                rotations = resample_rotations(rotations, self.fps * speed, fps)
            if len(joints) < 2:
                raise DataError(
                    f"the motion lasts {self.seconds / speed:.2f} s; expected two frames at {fps:g} fps"
                )
        else:
            joints = np.zeros((max(2, math.ceil(self.seconds / speed * fps - 1e-6)), 0, 3))
        pulses = {limb: times / speed for limb, times in self.pulses.items()}
        return replace(
            self, fps=fps, joints=joints, start=self.start / speed, rotations=rotations, pulses=pulses
        )

    def shift(self, seconds: float) -> Motion:
        """Delay the motion; a negative number of seconds makes it earlier."""
        pulses = {limb: times + seconds for limb, times in self.pulses.items()}
        return replace(self, start=self.start + seconds, pulses=pulses)

    def later(self, seconds: float) -> Motion:
        """Old name of :meth:`shift`."""
        warnings.warn("later is called shift", DeprecationWarning, stacklevel=2)
        return self.shift(seconds)

    def _frame_index(self, time: float) -> float:
        """Fractional index of the frame at a time, rounded if it is within the tolerance of a frame."""
        frame = (time - self.start) * self.fps
        return (
            float(round(frame)) if abs(frame - round(frame)) <= FRAME_TOLERANCE_SECONDS * self.fps else frame
        )

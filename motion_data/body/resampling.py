"""Resampling of motions: positions with a low-pass filter, rotations by slerp.

Both return ``ceil(T * fps_out / fps_in)`` frames, with frame k at ``k / fps_out`` seconds, so that joints and
rotations remain aligned. Beyond the last frame, for less than a frame of the input, positions are
extrapolated and rotations repeated.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, resample_poly
from scipy.spatial.transform import Rotation, Slerp

from motion_data.errors import DataError
from motion_data.motion import MAX_FPS, MIN_FPS

Floats = NDArray[np.floating[Any]]

MAX_RATIO_DENOMINATOR = 10_000
"""Maximum denominator of a ratio of frame rates; 59.94 to 30 is 500/999. Other ratios are rounded with a
relative error below 1e-8, a hundredth of a frame in 15 minutes."""

ZERO_CROSSINGS = 16
"""Zero crossings of the windowed sinc on either side, at the lower of the two rates."""

WINDOW = ("kaiser", 8.0)
"""About 80 dB; pass band up to 0.84 and stop band from 1.16 of the lower Nyquist frequency."""


def resampled_length(frames: int, fps_in: float, fps_out: float) -> int:
    """Return the number of frames after resampling."""
    return math.ceil(frames * _ratio(fps_in, fps_out))


def resample_positions(x: Floats, fps_in: float, fps_out: float) -> NDArray[np.float64]:
    """Resample positions, speeds or unwrapped angles.

    A zero-phase polyphase windowed sinc removes frequencies above either Nyquist frequency. Each of its
    phases sums to 1, which avoids jitter of bodies far from the origin. Beyond both ends the signal is
    extended by point reflection, which preserves position and speed.

    Args:
        x: (T, ...), T at least 1, no NaN.
        fps_in: frames per second of the input, 5 to 1000.
        fps_out: frames per second of the output, 5 to 1000.

    Returns:
        (ceil(T * fps_out / fps_in), ...).

    Raises:
        DataError: there are no frames, values are NaN, or a frame rate is out of range.
    """
    x = _finite_frames(x, "positions")
    ratio = _ratio(fps_in, fps_out)
    if ratio == 1:
        return x.copy()
    if len(x) == 1:
        return np.repeat(x, resampled_length(1, fps_in, fps_out), axis=0)
    resampled: NDArray[np.float64] = resample_poly(
        x,
        ratio.numerator,
        ratio.denominator,
        axis=0,
        window=_low_pass(ratio.numerator, ratio.denominator),
        padtype="antireflect",
    )
    return resampled


def resample_rotations(axis_angle: Floats, fps_in: float, fps_out: float) -> NDArray[np.float64]:
    """Resample rotations by spherical linear interpolation (slerp).

    It is exact for constant angular velocities below half a turn per frame. There is no low-pass filter.

    Args:
        axis_angle: (T, K, 3) axis times angle in radians, T at least 1, no NaN.
        fps_in: frames per second of the input, 5 to 1000.
        fps_out: frames per second of the output, 5 to 1000.

    Returns:
        (ceil(T * fps_out / fps_in), K, 3), angles in [0, π].

    Raises:
        DataError: the shape is different, there are no frames, values are NaN, or a frame rate is out of
            range.
    """
    axis_angle = _finite_frames(axis_angle, "rotations")
    if axis_angle.ndim != 3 or axis_angle.shape[2] != 3:
        raise DataError(f"rotations of shape {axis_angle.shape}; expected (T, K, 3) axis times angle")
    frames = resampled_length(len(axis_angle), fps_in, fps_out)
    if fps_in == fps_out:
        return axis_angle.copy()
    if len(axis_angle) == 1 or axis_angle.shape[1] == 0:
        return np.repeat(axis_angle[:1], frames, axis=0)
    times = np.minimum(np.arange(frames) / float(_ratio(fps_in, fps_out)), len(axis_angle) - 1)
    input_frames = np.arange(len(axis_angle))
    resampled = [
        Slerp(input_frames, Rotation.from_rotvec(joint))(times) for joint in axis_angle.swapaxes(0, 1)
    ]
    return np.stack([joint.as_rotvec() for joint in resampled], axis=1)


def _finite_frames(x: Floats, what: str) -> NDArray[np.float64]:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 0 or len(x) == 0:
        raise DataError(f"{what} of shape {x.shape}; expected at least one frame")
    bad = int((~np.isfinite(x)).sum())
    if bad:
        raise DataError(f"{what}: {bad} of {x.size} numbers are NaN or infinite; fill the gaps first")
    return x


def _ratio(fps_in: float, fps_out: float) -> Fraction:
    for fps in (fps_in, fps_out):
        if not MIN_FPS <= fps <= MAX_FPS:
            raise DataError(f"{fps:g} frames a second; expected {MIN_FPS:g} to {MAX_FPS:g}")
    # Denominators up to 1001 recover the exact values of 59.94 or 23.976.
    exact = Fraction(fps_out).limit_denominator(1001) / Fraction(fps_in).limit_denominator(1001)
    return exact.limit_denominator(MAX_RATIO_DENOMINATOR)


@lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> NDArray[np.float64]:
    """Filter taps at ``up`` times the input's rate, with the cutoff at the lower Nyquist frequency."""
    slower = max(up, down)
    half = ZERO_CROSSINGS * slower
    taps: NDArray[np.float64] = firwin(2 * half + 1, 1.0 / slower, window=WINDOW)
    for phase in range(up):
        taps[phase::up] /= taps[phase::up].sum() * up
    taps.flags.writeable = False
    return taps

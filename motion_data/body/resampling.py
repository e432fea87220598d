"""Motion at another frame rate: positions through a low-pass filter, rotations by slerp.

Both give ``ceil(T * fps_out / fps_in)`` frames, frame k standing at ``k / fps_out`` seconds from the
first, so nothing is shifted and joints and rotations stay together. What lies beyond the last
frame, less than a frame of the input, holds its course (positions) or its pose (rotations).
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
"""Largest denominator of a ratio of rates; 59.94 to 30 is 500/999. A ratio that takes more is rounded
by less than 1e-8 of itself, a hundredth of a frame in a quarter of an hour."""

ZERO_CROSSINGS = 16
"""Zero crossings of the windowed sinc on either side, at the lower of the two rates."""

WINDOW = ("kaiser", 8.0)
"""About 80 dB: kept up to 0.84 of the lower Nyquist frequency, gone from 1.16 of it on."""


def resampled_length(frames: int, fps_in: float, fps_out: float) -> int:
    """How many frames a motion of ``frames`` has at the other rate."""
    return math.ceil(frames * _ratio(fps_in, fps_out))


def resample_positions(x: Floats, fps_in: float, fps_out: float) -> NDArray[np.float64]:
    """Positions, speeds or angles that do not wrap, at another rate.

    A polyphase windowed sinc without delay keeps what lies below both Nyquist frequencies and removes
    the rest. Each phase of it sums to 1, so that a body far from the origin does not tremble.
    Beyond both ends the signal is continued by a half turn about its last point, which keeps
    position and speed.

    Args:
        x: (T, ...), T at least 1, no NaN.
        fps_in: frames a second, 5 to 1000.
        fps_out: the same.

    Returns:
        (ceil(T * fps_out / fps_in), ...).

    Raises:
        DataError: no frame, NaN, or a rate that cannot be.
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
    """Rotations at another rate, each along the shortest way between its two neighbours (slerp).

    Exact for a constant angular velocity below half a turn a frame. Nothing is smoothed: what turns
    faster than the new rate can show, is sampled as it is.

    Args:
        axis_angle: (T, K, 3) axis times angle in radians, T at least 1, no NaN.
        fps_in: frames a second, 5 to 1000.
        fps_out: the same.

    Returns:
        (ceil(T * fps_out / fps_in), K, 3), angles in [0, π].

    Raises:
        DataError: another shape, no frame, NaN, or a rate that cannot be.
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
    before = np.arange(len(axis_angle))
    turned = [Slerp(before, Rotation.from_rotvec(joint))(times) for joint in axis_angle.swapaxes(0, 1)]
    return np.stack([joint.as_rotvec() for joint in turned], axis=1)


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
    # The nearest fraction with a denominator up to 1001 is what was meant by 59.94 or 23.976.
    exact = Fraction(fps_out).limit_denominator(1001) / Fraction(fps_in).limit_denominator(1001)
    return exact.limit_denominator(MAX_RATIO_DENOMINATOR)


@lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> NDArray[np.float64]:
    """Taps at ``up`` times the input's rate, cut off at the lower Nyquist frequency."""
    slower = max(up, down)
    half = ZERO_CROSSINGS * slower
    taps: NDArray[np.float64] = firwin(2 * half + 1, 1.0 / slower, window=WINDOW)
    for phase in range(up):
        taps[phase::up] /= taps[phase::up].sum() * up
    taps.flags.writeable = False
    return taps

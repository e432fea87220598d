"""Recipes of negatives: the source of the motion, and the map from times of the clip to times of the source.

Each negative is a motion with a warped time axis: shifted by part of a beat, stretched, or aligned beat by
beat with the grid of other music. A recipe is a piecewise linear map of time; :func:`sample_motion` applies
it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from motion_data.motion import Motion
from motionbeat_upstream.tracking.grid import interpolate_linear

KINDS = ("jittered", "stretched", "other")
"""``jittered``, the paired motion shifted by beats, are the beat-jitter negatives J of the loss.
``stretched``, the paired motion at another speed, and ``other``, the motion of another pair, are its
tempo-aware negatives T."""

SETTLING_RATE = 8.0
"""Rate per second of the critically damped spring that removes the jump at a seam; a tenth of the jump
remains after half a second."""

SPLINE_DEGREE = 5
"""Degree of interpolation. A cubic spline smooths enough to make warped motion recognisable."""

MIN_PULSE_GAP_SECONDS = 1e-3
"""Touch-downs closer than this at a seam are merged."""


@dataclass(frozen=True)
class Negative:
    """One negative of one clip."""

    kind: str
    """One of ``KINDS``."""
    source: int
    """Index in the batch of the clip whose motion it is."""
    amount: float
    """Delay of the motion in beats (jittered, other), or the factor of its length (stretched)."""
    clip_times: tuple[float, ...]
    """(K,) increasing seconds of the clip, K at least 2; the map is extrapolated linearly."""
    source_times: tuple[float, ...]
    """(K,) corresponding increasing seconds of the source."""
    duration: float
    """Length of the clip in seconds."""


def to_source_time(negative: Negative, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map times of the clip to times of the source, which may lie outside of its motion."""
    return interpolate_linear(times, np.array(negative.clip_times), np.array(negative.source_times))


def sample_motion(
    motion: Motion, times: NDArray[np.float64], negative: Negative | None = None
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Interpolate a motion, or a negative of it, at times of the clip.

    The source is interpolated once in both cases, because networks easily recognise motion that was
    interpolated twice. Beyond the ends of the motion, the first or last pose is repeated.

    Args:
        motion: motion of the source on its own clock, including the margin.
        times: (T,) seconds of the clip.
        negative: the recipe; None for the paired motion.

    Returns:
        (T, J, 3) joints in metres, and the touch-downs of each limb in seconds of the clip.
    """
    source_times = times if negative is None else to_source_time(negative, times)
    frame = np.clip((source_times - motion.start) * motion.fps, 0, motion.frames - 1)
    pulses = dict(motion.pulses)
    if negative is not None:
        bend = np.array(negative.source_times), np.array(negative.clip_times)
        pulses = {limb: interpolate_linear(known, *bend) for limb, known in pulses.items()}
    return _interpolate(motion.joints, frame), pulses


def roll_motion(motion: Motion, offset: float) -> Motion:
    """Rotate a motion in time: it begins at ``offset`` and continues with its beginning; a control [O].

    At the seam, the body remains at its position, and its pose returns to the source within about half a
    second.

    Args:
        motion: any motion; rotations are dropped.
        offset: seconds after the first frame, in [0, length of the motion).
    """
    duration = motion.seconds
    ends = np.array([0.0, duration])
    source_times = interpolate_linear(np.arange(motion.frames) / motion.fps, ends, offset + ends)
    second = source_times > duration + 1e-9 * duration
    # Times up to a frame after the last are extrapolated.
    joints = _interpolate(motion.joints, (source_times - duration * second) * motion.fps)
    if second.any():
        _smooth_seam(joints, int(np.argmax(second)), SETTLING_RATE / motion.fps)
    pulses = {
        limb: _roll_pulses(times - motion.start, offset, duration) + motion.start
        for limb, times in motion.pulses.items()
    }
    return replace(motion, joints=joints, rotations=None, pulses=pulses)


def _interpolate(joints: NDArray[np.floating[Any]], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, J, 3) at fractional frames."""
    spline = make_interp_spline(
        np.arange(len(joints)),
        joints.astype(np.float64),
        k=SPLINE_DEGREE if len(joints) > SPLINE_DEGREE else 1,
    )
    positions: NDArray[np.float64] = spline(frame)
    return positions


def _smooth_seam(joints: NDArray[np.float64], seam: int, rate: float) -> None:
    """Make position and speed continuous at frame ``seam``, in place.

    The jumps of position and speed decay like a critically damped spring. The horizontal displacement of the
    root is permanent.
    """
    if not joints.shape[1]:
        return
    after = joints[seam:]
    step = np.arange(len(after))[:, None, None]
    speed = joints[seam - 1] - joints[max(seam - 2, 0)]
    jump = joints[seam - 1] + speed - after[0]
    displacement = jump[0] * [1.0, 0.0, 1.0]
    jump, speed_jump = jump - displacement, speed - (after[min(1, len(after) - 1)] - after[0])
    after += displacement + (jump + (speed_jump + rate * jump) * step) * np.exp(-rate * step)


def _roll_pulses(times: NDArray[np.float64], offset: float, duration: float) -> NDArray[np.float64]:
    """Touch-downs of one limb in the rotated motion; times are seconds from the first frame."""
    known = times[(times >= 0) & (times <= duration)]
    rolled = np.sort(
        np.concatenate([known[known >= offset] - offset, known[known < offset] + duration - offset])
    )
    rolled = rolled[(rolled >= 0) & (rolled < duration)]
    # A pulse at the seam occurs on both sides.
    return rolled[np.diff(rolled, prepend=-np.inf) > MIN_PULSE_GAP_SECONDS]

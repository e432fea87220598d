"""A negative as a recipe: whose motion, and which moment of it is seen at each moment of the clip.

Every negative is a motion with its time axis bent: moved by part of a beat, stretched, or laid beat
by beat on the grid of other music. A recipe is therefore a short piecewise linear map of time;
:func:`sample_motion` bends the motion.
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
"""The paired motion moved by beats, which are the loss's beat-jitter negatives J; the paired motion slower or
faster, and the motion of another pair, which are its tempo-aware negatives T."""

SETTLING_RATE = 8.0
"""Per second: how fast a body that jumped at a seam comes back to its source, as a critically damped spring
does; after half a second a tenth of the jump is left."""

SPLINE_DEGREE = 5
"""Of the spline through the frames: a cubic one smooths so much that bent motion could be told by it."""

MIN_PULSE_GAP_SECONDS = 1e-3
"""Seconds within which two touch-downs at a seam are one."""


@dataclass(frozen=True)
class Negative:
    """One negative of one clip."""

    kind: str
    """One of ``KINDS``."""
    source: int
    """Row of the batch whose motion it is; the clip's own for the paired motion."""
    amount: float
    """Beats by which the motion comes later (jittered, other), or the factor its length takes (stretched)."""
    clip: tuple[float, ...]
    """(K,) increasing seconds of the clip, K at least 2; beyond its ends the map goes straight on."""
    seen: tuple[float, ...]
    """(K,) increasing seconds of the source's motion that are seen there."""
    duration: float
    """Seconds of the clip, from 0."""


def to_source_time(negative: Negative, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds of the source that are seen at ``times`` of the clip, which its motion may not reach."""
    return interpolate_linear(times, np.array(negative.clip), np.array(negative.seen))


def sample_motion(
    motion: Motion, times: NDArray[np.float64], negative: Negative | None = None
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """A motion, or a negative of it, at any times of the clip, taken from the source in one step.

    Networks tell at a glance what has been through a spline once more than the paired motion, so both come
    from the same spline. What lies beyond the motion's ends is held.

    Args:
        motion: on the clock of its own clip, with what lies around it.
        times: (T,) seconds of the clip.
        negative: the recipe; None for the paired motion.

    Returns:
        (T, J, 3) joints in metres, and the touch-downs of each limb in seconds of the clip.
    """
    seen = times if negative is None else to_source_time(negative, times)
    frame = np.clip((seen - motion.start) * motion.fps, 0, motion.frames - 1)
    pulses = dict(motion.pulses)
    if negative is not None:
        bend = np.array(negative.seen), np.array(negative.clip)
        pulses = {limb: interpolate_linear(known, *bend) for limb, known in pulses.items()}
    return _interpolate(motion.joints, frame), pulses


def roll_motion(motion: Motion, late: float) -> Motion:
    """The motion from a moment on, its beginning put behind its end: a control, no negative [O].

    The body keeps its place in the room at the seam, and its pose comes back to the source within about half
    a second.

    Args:
        motion: any; its rotations are left away.
        late: seconds after its first frame at which it is to begin, in [0, length of the motion).
    """
    whole = motion.seconds
    ends = np.array([0.0, whole])
    seen = interpolate_linear(np.arange(motion.frames) / motion.fps, ends, late + ends)
    second = seen > whole + 1e-9 * whole
    # Up to a frame after the last is foretold from it.
    joints = _interpolate(motion.joints, (seen - whole * second) * motion.fps)
    if second.any():
        _smooth_seam(joints, int(np.argmax(second)), SETTLING_RATE / motion.fps)
    pulses = {
        limb: _roll_pulses(times - motion.start, late, whole) + motion.start
        for limb, times in motion.pulses.items()
    }
    return replace(motion, joints=joints, rotations=None, pulses=pulses)


def _interpolate(joints: NDArray[np.floating[Any]], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, J, 3) at frames that are not whole."""
    spline = make_interp_spline(
        np.arange(len(joints)),
        joints.astype(np.float64),
        k=SPLINE_DEGREE if len(joints) > SPLINE_DEGREE else 1,
    )
    positions: NDArray[np.float64] = spline(frame)
    return positions


def _smooth_seam(joints: NDArray[np.float64], seam: int, pull: float) -> None:
    """Bring the frames from ``seam`` on to where the body goes from the frame before.

    What is added is the course of a critically damped spring, from the jump in place and in speed to
    nothing, so that neither jumps. The root's place on the floor is kept for good.
    """
    if not joints.shape[1]:
        return
    after = joints[seam:]
    step = np.arange(len(after))[:, None, None]
    speed = joints[seam - 1] - joints[max(seam - 2, 0)]
    jump = joints[seam - 1] + speed - after[0]
    stays = jump[0] * [1.0, 0.0, 1.0]
    jump, kick = jump - stays, speed - (after[min(1, len(after) - 1)] - after[0])
    after += stays + (jump + (kick + pull * jump) * step) * np.exp(-pull * step)


def _roll_pulses(times: NDArray[np.float64], late: float, whole: float) -> NDArray[np.float64]:
    """Touch-downs of one limb, seconds from the first frame, as they come in the rolled motion."""
    known = times[(times >= 0) & (times <= whole)]
    moved = np.sort(np.concatenate([known[known >= late] - late, known[known < late] + whole - late]))
    moved = moved[(moved >= 0) & (moved < whole)]
    # On the very seam a pulse belongs to both sides.
    return moved[np.diff(moved, prepend=-np.inf) > MIN_PULSE_GAP_SECONDS]

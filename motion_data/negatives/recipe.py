"""A negative as a recipe: whose motion, and which moment of it is seen at each moment of the clip.

Every negative is a motion with its time axis bent: moved by part of a beat, stretched, or laid beat
by beat on the grid of other music. A recipe is therefore a short piecewise linear map of time;
the motion itself is bent only when it is wanted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.spatial.transform import Rotation

from motion_data.motion import Motion
from motion_data.rhythm.beat_clock import piecewise_line

KINDS = ("jittered", "stretched", "other")
"""The paired motion moved by beats, which are the loss's beat-jitter negatives J; the paired motion slower or
faster, and the motion of another pair, which are its tempo-aware negatives T."""

SETTLING = 8.0
"""Per second: how fast a body that jumped at a seam comes back to its source, as a critically damped spring
does; after half a second a tenth of the jump is left."""

DEGREE = 5
"""Of the spline through the frames: a cubic one smooths so much that bent motion could be told by it."""

CLOSEST = 1e-3
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
    loop: float
    """Seconds of whole bars of the source: where its motion ends, it goes on from that much earlier."""


def seen_at(negative: Negative, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds of the source that are seen at ``times`` of the clip, which its motion may not reach."""
    return piecewise_line(times, np.array(negative.clip), np.array(negative.seen))


def apply(negative: Negative, motion: Motion) -> Motion:
    """Bend the motion of the pair ``negative.source``.

    Where more of the source is seen than there is, it goes on from whole bars earlier (or later),
    so that what fills in lies at the same place in its bar: frozen, mirrored or cut motion would
    be told from the paired one at a glance, without listening. The body keeps its place in the
    room at such a seam, and its pose comes back to the source within about half a second. A motion that
    reaches beyond its clip needs none: give it with what lies around the clip, where that exists.

    Positions are taken from a spline, rotations from the shortest way between frames. On real dance
    neither the peak acceleration nor the roughness of the result tells it from what it was made of
    (areas under the curve of .41 to .56).

    Args:
        negative: the recipe.
        motion: on the clock of its own clip.

    Returns:
        A motion of ``ceil(duration * fps)`` frames from 0 s, at least 2, at the motion's frame rate.
    """
    frames = max(2, math.ceil(negative.duration * motion.fps - 1e-6))
    wanted = seen_at(negative, np.arange(frames) / motion.fps)
    loop = min(negative.loop, motion.seconds)
    laps = _laps(wanted, motion, loop)
    # Up to a frame after the last is foretold from it: a clip of whole bars ends there.
    frame = np.clip((wanted - laps * loop - motion.start) * motion.fps, 0, motion.frames)
    joints = _positions(motion.joints, frame)
    rotations = None if motion.rotations is None else _rotations(motion.rotations, frame)
    changes = (np.flatnonzero(np.diff(laps)) + 1).tolist()
    bounds = [0, *changes, frames]
    pull = SETTLING / motion.fps
    # From the stretch that needed no lap outwards, so that each joins one that is in its place.
    for number, seam in enumerate(changes, start=1):
        if laps[seam] > 0:
            _join(joints, rotations, np.arange(seam, bounds[number + 1]), seam - 1, pull)
    for number, seam in reversed(list(enumerate(changes, start=1))):
        if laps[seam] <= 0:
            _join(joints, rotations, np.arange(seam - 1, bounds[number - 1] - 1, -1), seam, pull)
    pulses = {limb: _pulses(negative, times, motion, loop) for limb, times in motion.pulses.items()}
    return Motion(motion.fps, motion.names, joints, 0.0, rotations, pulses)


def sampled(
    motion: Motion, times: NDArray[np.float64], negative: Negative | None = None
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """A motion, or a negative of it, at any times of the clip, taken from the source in one step.

    What :func:`apply` gives has been through a spline once more than the paired motion, and networks tell
    that at a glance. Here both come from the same spline. It is for negatives that are seamless: what
    lies beyond the motion's ends is held.

    Args:
        motion: on the clock of its own clip, with what lies around it.
        times: (T,) seconds of the clip.
        negative: the recipe; None for the paired motion.

    Returns:
        (T, J, 3) joints in metres, and the touch-downs of each limb in seconds of the clip.
    """
    seen = times if negative is None else seen_at(negative, times)
    frame = np.clip((seen - motion.start) * motion.fps, 0, motion.frames - 1)
    pulses = dict(motion.pulses)
    if negative is not None:
        bend = np.array(negative.seen), np.array(negative.clip)
        pulses = {limb: piecewise_line(known, *bend) for limb, known in pulses.items()}
    return _positions(motion.joints, frame), pulses


def _laps(seen: NDArray[np.float64], motion: Motion, loop: float) -> NDArray[np.float64]:
    """How many loops to go back (or forth, below 0) to be inside the motion."""
    stop = motion.start + motion.seconds
    late, early = np.ceil((seen - stop) / loop - 1e-9), np.ceil((motion.start - seen) / loop - 1e-9)
    laps: NDArray[np.float64] = np.maximum(late, 0) - np.maximum(early, 0)
    return laps


def _positions(joints: NDArray[np.floating[Any]], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, J, 3) at frames that are not whole."""
    spline = make_interp_spline(
        np.arange(len(joints)), joints.astype(np.float64), k=DEGREE if len(joints) > DEGREE else 1
    )
    positions: NDArray[np.float64] = spline(frame)
    return positions


def _rotations(rotations: NDArray[np.floating[Any]], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, K, 3) at frames that are not whole."""
    before = np.clip(np.floor(frame).astype(np.int64), 0, len(rotations) - 2)
    share = (frame - before)[:, None, None]
    here = rotations[before].astype(np.float64)
    return _turned(here, share * _between(here, rotations[before + 1].astype(np.float64)))


def _between(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) what turns ``one`` into ``other``."""
    first, second = Rotation.from_rotvec(one.reshape(-1, 3)), Rotation.from_rotvec(other.reshape(-1, 3))
    turn: NDArray[np.float64] = (first.inv() * second).as_rotvec().reshape(one.shape)
    return turn


def _turned(rotations: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    both = Rotation.from_rotvec(rotations.reshape(-1, 3)) * Rotation.from_rotvec(turn.reshape(-1, 3))
    turned: NDArray[np.float64] = both.as_rotvec().reshape(rotations.shape)
    return turned


def _join(
    joints: NDArray[np.float64],
    rotations: NDArray[np.float64] | None,
    stretch: NDArray[np.int64],
    neighbour: int,
    pull: float,
) -> None:
    """Bring the frames of ``stretch``, nearest first, to where the body goes from the frame beside them.

    What is added is the course of a critically damped spring, from the jump in place and in speed to
    nothing, so that neither jumps.
    """
    step = np.arange(len(stretch))[:, None, None]
    decay = np.exp(-pull * step)
    first, second = stretch[0], stretch[min(1, len(stretch) - 1)]
    beyond = int(np.clip(2 * neighbour - first, 0, len(joints) - 1))
    if joints.shape[1]:
        speed = joints[neighbour] - joints[beyond]
        jump = joints[neighbour] + speed - joints[first]
        # The root's place on the floor is kept for good; the rest returns to the source.
        stays = jump[0] * [1.0, 0.0, 1.0]
        jump, kick = jump - stays, speed - (joints[second] - joints[first])
        joints[stretch] += stays + (jump + (kick + pull * jump) * step) * decay
    if rotations is not None:
        speed = _between(rotations[beyond], rotations[neighbour])
        jump = _between(rotations[first], _turned(rotations[neighbour], speed))
        kick = speed - _between(rotations[first], rotations[second])
        rotations[stretch] = _turned(rotations[stretch], (jump + (kick + pull * jump) * step) * decay)


def _pulses(
    negative: Negative, times: NDArray[np.float64], motion: Motion, loop: float
) -> NDArray[np.float64]:
    """Touch-downs of one limb as they come in the clip."""
    ends = seen_at(negative, np.array([0.0, negative.duration]))
    least, most = _laps(ends, motion, loop)
    known = times[(times >= motion.start) & (times <= motion.start + motion.seconds)]
    seen = [known + lap * loop for lap in np.arange(least, most + 1)]
    laps = [np.full(len(known), lap) for lap in np.arange(least, most + 1)]
    moments, lap = np.concatenate([np.empty(0), *seen]), np.concatenate([np.empty(0), *laps])
    # On the very seam a pulse belongs to both sides.
    sides = [_laps(moments + side, motion, loop) == lap for side in (-CLOSEST / 2, CLOSEST / 2)]
    moments = np.sort(moments[sides[0] | sides[1]])
    moved = piecewise_line(moments, np.array(negative.seen), np.array(negative.clip))
    moved = moved[(moved >= 0) & (moved < negative.duration)]
    apart = np.diff(moved, prepend=-np.inf) > CLOSEST
    return moved[apart]

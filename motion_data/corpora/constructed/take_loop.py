"""A take made as long as one likes: it returns to an earlier bar of its own where the poses are alike [O].

The return is a cross-fade of ``2 * FADE_SECONDS`` seconds between the take going on and the take as it was a
whole number of its bars earlier, turned and moved on the floor so that the body stays where it is.
What is blended are the directions of bones and their lengths apart, so bones keep their length; a foot may
slide or leave the floor by centimetres while it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_interp_spline

from motion_data.corpora.constructed.take_rhythm import TakeRhythm
from motion_data.skeleton import INDEX, PARENTS

Array = NDArray[np.float64]

FADE_SECONDS = 0.2
"""Seconds on either side of a return."""


@dataclass(frozen=True)
class LoopedTake:
    """A take with its returns, on a clock of its own that begins with the take's."""

    path: BSpline
    """(J, 3) joints at a time of the take."""
    loop_end: float
    """Beat at which it first returns, in seconds of the take; infinite where it never has to."""
    loop_start: float
    """Where it returns to."""
    turn: float
    """Radians about y from where it returns to, to where it is."""
    shift: tuple[Array, Array]
    """Pelvis on the floor (x, z) where it returns to, and where it is."""
    beats: Array
    """(N,) the take's beats and what they become."""
    footfalls: Array
    """(M,) the take's touch-downs and what they become."""
    feet: NDArray[np.int64]
    """(M,) 0 left, 1 right."""

    def at(self, times: Array) -> Array:
        """(T, J, 3) joints at times of the long clock, increasing."""
        joints: Array = self.path(np.minimum(times, self.loop_end + FADE_SECONDS))
        if not np.isfinite(self.loop_end):
            return joints
        lap = self.loop_end - self.loop_start
        returns = int(np.floor((times[-1] + FADE_SECONDS - self.loop_end) / lap)) + 1
        for number in range(max(0, returns)):
            begin = self.loop_end + number * lap
            here = np.flatnonzero((times >= begin - FADE_SECONDS) & (times < begin + lap + FADE_SECONDS))
            if not len(here):
                continue
            then = self._moved(self.path(self.loop_start + times[here] - begin), number + 1)
            way: Array = np.clip((times[here] - begin + FADE_SECONDS) / (2 * FADE_SECONDS), 0.0, 1.0)
            share: Array = way**3 * (10 - 15 * way + 6 * way**2)
            fading = share < 1
            joints[here[fading]] = _blend_poses(joints[here[fading]], then[fading], share[fading, None])
            joints[here[~fading]] = then[~fading]
        return joints

    def _moved(self, joints: Array, number: int) -> Array:
        """The same, turned and moved as after so many returns."""
        moved = joints.copy()
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        for _ in range(number):
            x, z = moved[..., 0] - self.shift[0][0], moved[..., 2] - self.shift[0][1]
            moved[..., 0] = x * cosine + z * sine + self.shift[1][0]
            moved[..., 2] = -x * sine + z * cosine + self.shift[1][1]
        return moved


def loop_take(
    joints: NDArray[np.floating[Any]], fps: float, rhythm: TakeRhythm, begin: int, needed: int, bar: int
) -> LoopedTake | None:
    """A take that lasts ``needed`` of its beats after beat ``begin``, with returns by whole bars as needed.

    None where it is too short for even one bar to be repeated.
    """
    times = np.arange(len(joints)) / fps
    path = make_interp_spline(times, np.asarray(joints, dtype=np.float64), k=3)
    beats = rhythm.beats
    if begin + needed < len(beats):
        nowhere = (np.zeros(2), np.zeros(2))
        return LoopedTake(path, np.inf, 0.0, 0.0, nowhere, beats, rhythm.footfalls, rhythm.feet)
    inside = np.flatnonzero((beats > FADE_SECONDS) & (beats < times[-1] - FADE_SECONDS))
    poses = _pose_features(path, beats[inside])
    apart = np.linalg.norm(poses[:, None] - poses[None], axis=-1).mean(axis=-1)
    steps = inside[None, :] - inside[:, None]
    fits = (steps > 0) & (inside > begin) & (steps % bar == 0)
    if not fits.any():
        return None
    # A long way round is better: less is repeated.
    cost = np.where(fits, apart - 0.02 * np.minimum(steps // bar, 6), np.inf)
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    to, origin = int(inside[row]), int(inside[column])
    lap, count = beats[origin] - beats[to], origin - to
    laps = int(np.ceil((begin + needed + 1 - origin) / count)) + 1
    clock = np.concatenate([beats[:origin], *[beats[to:origin] + (k + 1) * lap for k in range(laps)]])
    early = rhythm.footfalls < beats[origin]
    again = early & (rhythm.footfalls >= beats[to])
    falls = [rhythm.footfalls[early], *[rhythm.footfalls[again] + (k + 1) * lap for k in range(laps)]]
    feet = [rhythm.feet[early], *[rhythm.feet[again]] * laps]
    here, there = path(beats[origin]), path(beats[to])
    turn = float(_facing_angle(here) - _facing_angle(there))
    shift = (there[INDEX["pelvis"], [0, 2]], here[INDEX["pelvis"], [0, 2]])
    return LoopedTake(
        path, beats[origin], beats[to], turn, shift, clock, np.concatenate(falls), np.concatenate(feet)
    )


def _blend_poses(one: Array, other: Array, share: Array) -> Array:
    """(T, J, 3) from one body to the other as ``share`` (T, 1) goes from 0 to 1, bone by bone."""
    straight = (1 - share[..., None]) * one + share[..., None] * other
    blended = straight.copy()
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        bone = straight[:, joint] - straight[:, parent]
        lengths = [np.linalg.norm(body[:, joint] - body[:, parent], axis=1)[:, None] for body in (one, other)]
        length = (1 - share) * lengths[0] + share * lengths[1]
        bone *= length / np.maximum(np.linalg.norm(bone, axis=1)[:, None], 1e-6)
        blended[:, joint] = blended[:, parent] + bone
    return blended


def _facing_angle(pose: Array) -> Array:
    """Radians about y, 0 along +z, of the hips of (..., J, 3)."""
    across = pose[..., INDEX["left_hip"], :] - pose[..., INDEX["right_hip"], :]
    return np.arctan2(-across[..., 2], across[..., 0])


def _pose_features(path: BSpline, times: Array) -> Array:
    """(N, 2J, 3) poses, and where they go in a fifth of a second, without place and facing on the floor."""
    poses, pace = path(times), 0.2 * path(times, nu=1)
    cosine, sine = np.cos(_facing_angle(poses)), np.sin(_facing_angle(poses))
    zero, one = np.zeros(len(times)), np.ones(len(times))
    # Rows are vectors: multiplied from the right, this turns them back to face +z.
    turn = np.stack([cosine, zero, sine, zero, one, zero, -sine, zero, cosine], axis=-1).reshape(-1, 3, 3)
    still = poses - poses[:, [INDEX["pelvis"]]] * [1, 0, 1]
    alike: Array = np.concatenate([still, pace], axis=1) @ turn
    return alike

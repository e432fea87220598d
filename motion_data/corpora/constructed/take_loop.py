"""Extension of a take by repeating bars whose poses are similar at both ends [O].

At the end of the loop, the take is cross-faded during ``2 * FADE_SECONDS`` with an earlier part, a whole
number of bars before, which is rotated and moved on the floor so that the body continues from its position.
Directions and lengths of bones are blended separately, so that bones keep their lengths; a foot may slide or
leave the floor by centimetres during the cross-fade.
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
"""Half the length of a cross-fade."""


@dataclass(frozen=True)
class LoopedTake:
    """A take with a loop; its times begin with those of the take."""

    path: BSpline
    """(J, 3) joints at a time of the take."""
    loop_end: float
    """Time of the take at the end of the loop; infinite without a loop."""
    loop_start: float
    """Time of the take at the start of the loop."""
    turn: float
    """Rotation about y from the start of the loop to its end, in radians."""
    shift: tuple[Array, Array]
    """Position of the pelvis on the floor (x, z) at the start and end of the loop."""
    beats: Array
    """(N,) beats of the extended take."""
    footfalls: Array
    """(M,) touch-downs of the extended take."""
    feet: NDArray[np.int64]
    """(M,) 0 left, 1 right."""

    def at(self, times: Array) -> Array:
        """(T, J, 3) joints at increasing times of the extended take."""
        joints: Array = self.path(np.minimum(times, self.loop_end + FADE_SECONDS))
        if not np.isfinite(self.loop_end):
            return joints
        length = self.loop_end - self.loop_start
        repeats = int(np.floor((times[-1] + FADE_SECONDS - self.loop_end) / length)) + 1
        for number in range(max(0, repeats)):
            begin = self.loop_end + number * length
            index = np.flatnonzero((times >= begin - FADE_SECONDS) & (times < begin + length + FADE_SECONDS))
            if not len(index):
                continue
            repeated = self._moved(self.path(self.loop_start + times[index] - begin), number + 1)
            phase: Array = np.clip((times[index] - begin + FADE_SECONDS) / (2 * FADE_SECONDS), 0.0, 1.0)
            weight: Array = phase**3 * (10 - 15 * phase + 6 * phase**2)
            fading = weight < 1
            joints[index[fading]] = _blend_poses(
                joints[index[fading]], repeated[fading], weight[fading, None]
            )
            joints[index[~fading]] = repeated[~fading]
        return joints

    def _moved(self, joints: Array, repeats: int) -> Array:
        """Joints, rotated and moved as after a number of repeats."""
        moved = joints.copy()
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        for _ in range(repeats):
            x, z = moved[..., 0] - self.shift[0][0], moved[..., 2] - self.shift[0][1]
            moved[..., 0] = x * cosine + z * sine + self.shift[1][0]
            moved[..., 2] = -x * sine + z * cosine + self.shift[1][1]
        return moved


def loop_take(
    joints: NDArray[np.floating[Any]], fps: float, rhythm: TakeRhythm, begin: int, needed: int, bar: int
) -> LoopedTake | None:
    """Extend a take to ``needed`` beats after beat ``begin``, if necessary by a loop of whole bars.

    None if it is too short to repeat a bar.
    """
    times = np.arange(len(joints)) / fps
    path = make_interp_spline(times, np.asarray(joints, dtype=np.float64), k=3)
    beats = rhythm.beats
    if begin + needed < len(beats):
        no_shift = (np.zeros(2), np.zeros(2))
        return LoopedTake(path, np.inf, 0.0, 0.0, no_shift, beats, rhythm.footfalls, rhythm.feet)
    inside = np.flatnonzero((beats > FADE_SECONDS) & (beats < times[-1] - FADE_SECONDS))
    poses = _pose_features(path, beats[inside])
    distance = np.linalg.norm(poses[:, None] - poses[None], axis=-1).mean(axis=-1)
    steps = inside[None, :] - inside[:, None]
    valid = (steps > 0) & (inside > begin) & (steps % bar == 0)
    if not valid.any():
        return None
    # Long loops are better, because less is repeated.
    cost = np.where(valid, distance - 0.02 * np.minimum(steps // bar, 6), np.inf)
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    first, last = int(inside[row]), int(inside[column])
    length, count = beats[last] - beats[first], last - first
    repeats = int(np.ceil((begin + needed + 1 - last) / count)) + 1
    looped_beats = [beats[:last], *[beats[first:last] + (k + 1) * length for k in range(repeats)]]
    before = rhythm.footfalls < beats[last]
    in_loop = before & (rhythm.footfalls >= beats[first])
    footfalls = [
        rhythm.footfalls[before],
        *[rhythm.footfalls[in_loop] + (k + 1) * length for k in range(repeats)],
    ]
    feet = [rhythm.feet[before], *[rhythm.feet[in_loop]] * repeats]
    start_pose, end_pose = path(beats[first]), path(beats[last])
    turn = float(_facing_angle(end_pose) - _facing_angle(start_pose))
    shift = (start_pose[INDEX["pelvis"], [0, 2]], end_pose[INDEX["pelvis"], [0, 2]])
    return LoopedTake(
        path,
        beats[last],
        beats[first],
        turn,
        shift,
        np.concatenate(looped_beats),
        np.concatenate(footfalls),
        np.concatenate(feet),
    )


def _blend_poses(a: Array, b: Array, weight: Array) -> Array:
    """(T, J, 3) poses, blended bone by bone from ``a`` to ``b`` with (T, 1) weights of ``b``."""
    straight = (1 - weight[..., None]) * a + weight[..., None] * b
    blended = straight.copy()
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        bone = straight[:, joint] - straight[:, parent]
        lengths = [np.linalg.norm(body[:, joint] - body[:, parent], axis=1)[:, None] for body in (a, b)]
        length = (1 - weight) * lengths[0] + weight * lengths[1]
        bone *= length / np.maximum(np.linalg.norm(bone, axis=1)[:, None], 1e-6)
        blended[:, joint] = blended[:, parent] + bone
    return blended


def _facing_angle(pose: Array) -> Array:
    """(...) facing direction of (..., J, 3) by the hips: radians about y, 0 along +z."""
    across = pose[..., INDEX["left_hip"], :] - pose[..., INDEX["right_hip"], :]
    return np.arctan2(-across[..., 2], across[..., 0])


def _pose_features(path: BSpline, times: Array) -> Array:
    """(N, 2J, 3) poses and their movement in 0.2 s, without position and facing on the floor."""
    poses, movement = path(times), 0.2 * path(times, nu=1)
    cosine, sine = np.cos(_facing_angle(poses)), np.sin(_facing_angle(poses))
    zero, one = np.zeros(len(times)), np.ones(len(times))
    # Multiplied from the right, this rotates row vectors back to face +z.
    turn = np.stack([cosine, zero, sine, zero, one, zero, -sine, zero, cosine], axis=-1).reshape(-1, 3, 3)
    centred = poses - poses[:, [INDEX["pelvis"]]] * [1, 0, 1]
    features: Array = np.concatenate([centred, movement], axis=1) @ turn
    return features

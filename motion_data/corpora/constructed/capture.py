"""Real capture danced to a grid: takes read from a folder and warped in time to meet the beats [O].

A take keeps beats and a bar of its own (:mod:`take_rhythm`). Each of its beats is put on a beat of the
music, or on a half beat, or on every second beat, whichever asks for the least change of tempo; its own
strongest beat comes on a downbeat, and from there on beat follows beat, so that phrases and bars stay whole.
Dynamic programming then moves each meeting point, by a quarter of a second at most, onto footfalls, with
the rate held between ``MIN_RATE`` and ``MAX_RATE``: time never stands still nor runs back. A take that is
too short returns to an earlier bar of its own (:mod:`take_loop`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from motion_data.body.normalisation import normalise
from motion_data.body.orientation import estimate_stature
from motion_data.corpora.bvh import read_bvh
from motion_data.corpora.constructed.footfalls import extend_grid
from motion_data.corpora.constructed.take_loop import LoopedTake, loop_take
from motion_data.corpora.constructed.take_rhythm import (
    TakeRhythm,
    estimate_take_rhythm,
    footfall_salience,
    periodicity,
    strongest_beat,
)
from motion_data.corpora.motion_source import rest_frames, stated_rate
from motion_data.errors import DataError
from motion_data.files import read_npz
from motion_data.motion import Motion
from motion_data.motion_file import read_motion
from motion_data.pair import SPLITS
from motion_data.skeleton import JOINTS
from motionbeat_upstream.file_name import safe_file_name
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

MIN_RATE, MAX_RATE = 0.7, 1.4
"""Seconds of the take to a second of the music, at least and at most."""

BEAT_RATIOS = (1.0, 2.0, 0.5)
"""Beats of the take to a beat of the music."""

RATE_SMOOTHING_SECONDS = 0.04
"""Seconds (standard deviation) over which the rate changes from one beat to the next."""

MAX_SHIFT_SECONDS, SHIFT_STEP_SECONDS = 0.25, 0.01
"""Seconds that a meeting point may move from the take's beat, and in what steps."""

RATE_CHANGE_COST = 4.0
"""Footfalls given up for not changing the rate by a factor of e."""

MAX_STEP_OFFSET_SECONDS, MAX_STEP_OFFSET_BEATS = 0.12, 0.3
"""A footfall further from every beat than so many seconds, or such a share of a beat, is a scuff."""

MIN_PERIODICITY = 0.05
"""Share of what a take does that two of its bars must explain; below it the take has no bar of its own."""

MAX_JOINT_SPEED = 12.0
"""m/s that no joint of a dancer reaches: beyond it the tracking jumped."""

MIN_STATURE, DEFAULT_STATURE = 1.45, 1.70
"""Metres: a body under the first was scaled down by its publisher, and is brought to the second."""


@dataclass(frozen=True)
class Take(Motion):
    """A captured motion with its name."""

    name: str = ""
    """From its file, and its array where a file has several."""
    group: str = ""
    """Takes of one group were captured together (partners): they belong in one split."""

    @cached_property
    def rhythm(self) -> TakeRhythm | None:
        """Its own beats; None where it hardly steps."""
        return estimate_take_rhythm(self)


def read_takes(folder: str | Path) -> list[Take]:
    """Every take in a folder, in order of name, on the common skeleton in metres.

    Read are ``.bvh``; ``.npz`` as :func:`~motion_data.motion_file.write_motion` writes them; and ``.npz`` of
    several takes: ``names`` (J,), ``fps``, and an array (T, J, 3) a take. Files or arrays called
    ``SUBJECT_NUMBER``, as CMU's are, with the same number make one group: partners have the same.
    A rest pose in front is dropped; where the tracking jumps, the longest stretch without a jump is the take.

    Raises:
        DataError: no such folder, no take in it, or a file that is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one with takes as .bvh or .npz")
    takes: list[Take] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".bvh":
            takes.append(_make_take(read_bvh(path), safe_file_name(path.stem)))
        elif path.suffix.lower() == ".npz":
            takes += _read_npz_takes(path)
    if not takes:
        raise DataError(f"{folder}: neither .bvh nor .npz in it; expected takes of captured motion")
    return takes


def split_takes(takes: Sequence[Take]) -> dict[str, list[Take]]:
    """Takes by split, 80/10/10 by group, in an order that a hash of the groups' names gives."""
    groups = sorted(
        {take.group or take.name for take in takes}, key=lambda name: sha256(name.encode()).digest()
    )
    held = max(1, round(0.1 * len(groups))) if len(groups) >= len(SPLITS) else 0
    # Train, the first split, has what is left.
    split_of = {name: SPLITS[1 + number // held] for number, name in enumerate(groups[: 2 * held])}
    dealt: dict[str, list[Take]] = {split: [] for split in SPLITS}
    for take in takes:
        dealt[split_of.get(take.group or take.name, SPLITS[0])].append(take)
    return dealt


def warp_to_grid(take: Motion, grid: Grid, seconds: float, rng: np.random.Generator) -> Motion | None:
    """A take warped in time so that its footfalls meet the beats of a grid.

    Args:
        take: 22 joints that dance.
        grid: beats and bars; continued at its outer tempo where it does not cover the span.
        seconds: length of the span, from 0.
        rng: which of its bars the take begins with.

    Returns:
        A motion at the take's rate of frames, with the touch-downs that lie near beats as ``pulses``: those
        off them are scuffs and left out. None where the take hardly steps, keeps another metre than the
        grid's, is too short for one bar to be repeated, or cannot follow within the limits of rate.

    Raises:
        DataError: joints that are no body's.
    """
    warp = plan_warp(take, grid, seconds, rng)
    if warp is None:
        return None
    times = np.arange(round(seconds * take.fps)) / take.fps
    joints = warp.take.at(warp.to_take(times))
    return Motion(take.fps, take.names, joints, 0.0, None, warp.step_times(seconds))


@dataclass(frozen=True)
class Warp:
    """How a take runs to a span of music."""

    take: LoopedTake
    target_beats: Array
    """(K,) seconds of the music at which beats of the take are meant to come."""
    music_times: Array
    """(N,) seconds of the music."""
    take_times: Array
    """(N,) seconds of the take at each."""

    def to_take(self, times: Array) -> Array:
        """Seconds of the take at seconds of the music."""
        return np.interp(times, self.music_times, self.take_times)

    def to_music(self, times: Array) -> Array:
        """Seconds of the music at seconds of the take."""
        return np.interp(times, self.take_times, self.music_times)

    def footfalls(self, seconds: float) -> tuple[Array, NDArray[np.int64]]:
        """(M,) touch-downs in the span, seconds of the music, and (M,) their feet: 0 left, 1 right."""
        inside = (self.take.footfalls > self.take_times[0]) & (self.take.footfalls < self.take_times[-1])
        times = self.to_music(self.take.footfalls[inside])
        kept = (times >= 0) & (times < seconds)
        return times[kept], self.take.feet[inside][kept]

    def step_times(self, seconds: float) -> dict[str, Array]:
        """Those near a beat, by foot."""
        times, feet = self.footfalls(seconds)
        spacing = float(np.median(np.diff(self.target_beats)))
        near = np.abs(times[:, None] - self.target_beats).min(axis=1) <= min(
            MAX_STEP_OFFSET_SECONDS, MAX_STEP_OFFSET_BEATS * spacing
        )
        return {
            limb: np.unique(times[near & (feet == k)]) for k, limb in enumerate(("left_foot", "right_foot"))
        }


def plan_warp(take: Motion, grid: Grid, seconds: float, rng: np.random.Generator) -> Warp | None:
    """The warp that :func:`warp_to_grid` applies; arguments, None and errors are the same."""
    if take.names != JOINTS:
        raise DataError(f"a take of {len(take.names)} joints; expected the 22 of the common skeleton")
    rhythm = take.rhythm if isinstance(take, Take) else estimate_take_rhythm(take)
    if rhythm is None:
        return None
    bar = 3 if grid.metre == 3 else 4
    # Two bars each, since feet alternate: three steps a bar come back to the same foot after six.
    if periodicity(rhythm.movement, 2 * bar) < max(
        periodicity(rhythm.movement, 2 * (7 - bar)), MIN_PERIODICITY
    ):
        return None
    strongest = strongest_beat(rhythm.accents, bar)
    own = 60 / rhythm.bpm
    period = float(np.median(np.diff(grid.beats)))
    rates = {level: own * level / period for level in BEAT_RATIOS}
    fitting = [level for level in BEAT_RATIOS if MIN_RATE < rates[level] < MAX_RATE]
    for level in sorted(fitting, key=lambda level: abs(np.log(rates[level]))):
        ticks, downbeat = _target_beats(grid, seconds, level)
        # The take's strongest beat comes on the first downbeat.
        choices = np.arange((strongest - downbeat) % bar, len(rhythm.beats) - 2, bar)
        choices = choices[choices >= 1]
        whole = choices[choices + len(ticks) < len(rhythm.beats)]
        for begin in rng.permutation(whole if len(whole) else choices[: max(1, len(choices) // 2)])[:3]:
            long = loop_take(take.joints, take.fps, rhythm, int(begin), len(ticks), bar)
            if long is None:
                continue
            met = _align_to_footfalls(ticks, long.beats[begin : begin + len(ticks)], long.footfalls)
            if met is not None:
                return Warp(long, ticks, *_smooth_warp(ticks, met))
    return None


def _target_beats(grid: Grid, seconds: float, level: float) -> tuple[Array, int]:
    """Seconds at which the take's beats come, from the last at or before 0 to the first after the span
    and one more, and the index of the first downbeat among them."""
    period = float(np.median(np.diff(grid.beats)))
    grid = extend_grid(grid, -6 * grid.metre * period, seconds + 4 * period)
    times, downbeats = grid.beats, np.flatnonzero(grid.positions == 1)
    if level == 2:
        times = np.interp(np.arange(2 * len(times) - 1) / 2, np.arange(len(times)), times)
        downbeats = 2 * downbeats
    elif level == 0.5:
        # Every second beat, counted from the first downbeat after 0 s, so that it is one of them.
        anchor = downbeats[np.searchsorted(times[downbeats], 0.0)]
        kept = np.arange(anchor % 2, len(times), 2)
        times, downbeats = times[kept], np.array([np.flatnonzero(kept == anchor)[0]])
    first = int(np.searchsorted(times, 0.0, side="right")) - 1
    last = min(int(np.searchsorted(times, seconds)) + 1, len(times) - 1)
    after = downbeats[downbeats >= first]
    return times[first : last + 1], int(after[0] - first)


def _align_to_footfalls(ticks: Array, beats: Array, footfalls: Array) -> Array | None:
    """(K,) seconds of the take at each tick: on footfalls, near the take's beats, within the limits of rate.

    Viterbi over how far each meeting point moves. None where the limits leave no way.
    """
    moves = np.arange(-MAX_SHIFT_SECONDS, MAX_SHIFT_SECONDS + SHIFT_STEP_SECONDS / 2, SHIFT_STEP_SECONDS)
    taken = beats[:, None] + moves
    fine = np.arange(taken.min(), taken.max() + SHIFT_STEP_SECONDS, SHIFT_STEP_SECONDS / 2)
    cost = 0.3 * (moves / MAX_SHIFT_SECONDS) ** 2 - np.interp(taken, fine, footfall_salience(fine, footfalls))
    spans = np.diff(ticks)
    usual = float(np.median(np.diff(beats) / spans))
    total, back = cost[0], np.zeros(taken.shape, dtype=np.int64)
    for k, span in enumerate(spans):
        rate = (taken[k + 1][None, :] - taken[k][:, None]) / span
        allowed = (rate >= MIN_RATE) & (rate <= MAX_RATE)
        change = np.where(allowed, np.log(np.where(allowed, rate, usual) / usual) ** 2, np.inf)
        reached = total[:, None] + RATE_CHANGE_COST * change
        back[k + 1] = reached.argmin(axis=0)
        total = reached.min(axis=0) + cost[k + 1]
        if not np.isfinite(total).any():
            return None
    choice = [int(total.argmin())]
    for k in range(len(spans), 0, -1):
        choice.append(int(back[k, choice[-1]]))
    return taken[np.arange(len(ticks)), choice[::-1]]


def _smooth_warp(ticks: Array, met: Array) -> tuple[Array, Array]:
    """Clock of the music and of the take, with the rate changing softly.

    A weighted mean of straight lines is never steeper or flatter than they are: the limits hold.
    """
    rate, margin = 240.0, 6 * RATE_SMOOTHING_SECONDS
    clock = np.arange(ticks[0] - margin, ticks[-1] + margin, 1 / rate)
    first = (met[1] - met[0]) / (ticks[1] - ticks[0])
    last = (met[-1] - met[-2]) / (ticks[-1] - ticks[-2])
    lines = np.interp(clock, ticks, met)
    lines += np.minimum(clock - ticks[0], 0) * first + np.maximum(clock - ticks[-1], 0) * last
    taken = gaussian_filter1d(lines, RATE_SMOOTHING_SECONDS * rate, mode="nearest", truncate=5.0)
    inside = (clock > ticks[0] - 1 / rate) & (clock < ticks[-1] + 1 / rate)
    return clock[inside], taken[inside]


def _read_npz_takes(path: Path) -> list[Take]:
    arrays = read_npz(path)
    if {"joints", "names", "fps", "start"} <= arrays.keys():
        return [_make_take(read_motion(path)[0], safe_file_name(path.stem))]
    if not {"names", "fps"} <= arrays.keys():
        raise DataError(
            f"{path}: holds {', '.join(arrays)}; expected names, fps and an array (T, J, 3) a take"
        )
    names, fps = [str(name) for name in arrays["names"].ravel()], stated_rate(path, arrays)
    takes = []
    for name, joints in sorted(arrays.items()):
        if name in ("names", "fps"):
            continue
        if joints.ndim != 3 or joints.shape[1:] != (len(names), 3) or len(joints) < 2:
            raise DataError(
                f"{path}: {name} has shape {joints.shape}; expected (T, {len(names)}, 3), T at least 2"
            )
        body = normalise(names, joints[rest_frames(joints, fps) :], fps)
        takes.append(_make_take(Motion(body.fps, JOINTS, body.joints), safe_file_name(f"{path.stem}-{name}")))
    return takes


def _longest_continuous(joints: NDArray[Any], fps: float) -> slice:
    """The longest stretch of frames in which no joint leaps."""
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(axis=1) * fps
    edges = np.concatenate([[-1], np.flatnonzero(speed > MAX_JOINT_SPEED), [len(joints) - 1]])
    longest = int(np.diff(edges).argmax())
    return slice(int(edges[longest]) + 1, int(edges[longest + 1]) + 1)


def _make_take(motion: Motion, name: str) -> Take:
    partners = re.fullmatch(r"(?:.*-)?(?:take_)?\d+_(\d+)", name)
    group = f"capture-{partners[1]}" if partners else name
    joints: NDArray[Any] = motion.joints
    if motion.names == JOINTS and (stature := estimate_stature(joints)) < MIN_STATURE:
        joints = joints * (DEFAULT_STATURE / stature)
    joints = joints[_longest_continuous(joints, motion.fps)]
    return Take(motion.fps, motion.names, joints, 0.0, None, {}, name, group)

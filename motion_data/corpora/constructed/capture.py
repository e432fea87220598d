"""Captured motion: takes are read from a folder and warped in time to a grid [O].

A take has its own beats and bar (:mod:`take_rhythm`). Its beats are mapped to the beats of the music, to half
beats or to every second beat, whichever changes its tempo least. Its strongest beat falls on a downbeat, and
the order of its beats is kept, so that phrases and bars stay whole. Dynamic programming then shifts each
correspondence by up to 0.25 s onto a footfall, with the rate between ``MIN_RATE`` and ``MAX_RATE``. A take
that is too short repeats an earlier bar (:mod:`take_loop`).
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
"""Range of the playback rate: seconds of the take per second of the music."""

BEAT_RATIOS = (1.0, 2.0, 0.5)
"""Beats of the take per beat of the music."""

RATE_SMOOTHING_SECONDS = 0.04
"""Standard deviation of the filter that smooths changes of the rate."""

MAX_SHIFT_SECONDS, SHIFT_STEP_SECONDS = 0.25, 0.01
"""Maximum shift of a correspondence from the take's beat, and resolution of the shifts."""

RATE_CHANGE_COST = 4.0
"""Cost of a change of the rate by a factor of e, in footfalls that are missed."""

MAX_STEP_OFFSET_SECONDS, MAX_STEP_OFFSET_BEATS = 0.12, 0.3
"""Footfalls further from every beat than this are not steps."""

MIN_PERIODICITY = 0.05
"""Minimum share of the variance of a take's movement that repeats after two bars; below it, it has no bar."""

MAX_JOINT_SPEED = 12.0
"""Larger speeds (m/s) of a joint are tracking errors."""

MIN_STATURE, DEFAULT_STATURE = 1.45, 1.70
"""Metres. A smaller body was scaled by its publisher, and is rescaled to the default."""


@dataclass(frozen=True)
class Take(Motion):
    """A captured motion with its name."""

    name: str = ""
    """Name of its file, and of its array if the file has several."""
    group: str = ""
    """Takes of one group were captured together (partners) and belong to one split."""

    @cached_property
    def rhythm(self) -> TakeRhythm | None:
        """Estimated beats; None with too few steps."""
        return estimate_take_rhythm(self)


def read_takes(folder: str | Path) -> list[Take]:
    """Read every take in a folder, sorted by name, on the common skeleton in metres.

    Files are ``.bvh``, ``.npz`` of :func:`~motion_data.motion_file.write_motion`, or ``.npz`` with several
    takes: ``names`` (J,), ``fps`` and an array (T, J, 3) per take. Files or arrays named ``SUBJECT_NUMBER``
    (as in CMU's data) with the same number are one group, because partners share the number. A rest pose at
    the beginning is removed; of a take with tracking errors, the longest stretch without one is used.

    Raises:
        DataError: the folder is missing or has no takes, or a file is invalid.
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
    """Split takes 80/10/10 by group; the order of the groups is that of a hash of their names."""
    groups = sorted(
        {take.group or take.name for take in takes}, key=lambda name: sha256(name.encode()).digest()
    )
    size = max(1, round(0.1 * len(groups))) if len(groups) >= len(SPLITS) else 0
    # Train, the first split, gets the rest.
    split_of = {name: SPLITS[1 + number // size] for number, name in enumerate(groups[: 2 * size])}
    splits: dict[str, list[Take]] = {split: [] for split in SPLITS}
    for take in takes:
        splits[split_of.get(take.group or take.name, SPLITS[0])].append(take)
    return splits


def warp_to_grid(take: Motion, grid: Grid, seconds: float, rng: np.random.Generator) -> Motion | None:
    """Warp a take in time so that its footfalls fall on the beats of a grid.

    Args:
        take: motion of the 22 joints.
        grid: beats and bars; extrapolated with its first and last period where it does not cover the span.
        seconds: length of the span, from 0.
        rng: chooses the bar of the take to begin with.

    Returns:
        A motion at the take's frame rate, with its touch-downs near beats as ``pulses``. None if the take has
        too few steps or another metre than the grid, is too short to repeat a bar, or cannot follow the grid
        within the limits of the rate.

    Raises:
        DataError: the take does not have the 22 joints.
    """
    warp = plan_warp(take, grid, seconds, rng)
    if warp is None:
        return None
    times = np.arange(round(seconds * take.fps)) / take.fps
    joints = warp.take.at(warp.to_take(times))
    return Motion(take.fps, take.names, joints, 0.0, None, warp.step_times(seconds))


@dataclass(frozen=True)
class Warp:
    """A time warp of a take."""

    take: LoopedTake
    target_beats: Array
    """(K,) times of the music on which beats of the take should fall."""
    music_times: Array
    """(N,) times of the music."""
    take_times: Array
    """(N,) corresponding times of the take."""

    def to_take(self, times: Array) -> Array:
        """Convert times of the music to times of the take."""
        return np.interp(times, self.music_times, self.take_times)

    def to_music(self, times: Array) -> Array:
        """Convert times of the take to times of the music."""
        return np.interp(times, self.take_times, self.music_times)

    def footfalls(self, seconds: float) -> tuple[Array, NDArray[np.int64]]:
        """(M,) touch-downs in the span, in times of the music, and (M,) their feet: 0 left, 1 right."""
        inside = (self.take.footfalls > self.take_times[0]) & (self.take.footfalls < self.take_times[-1])
        times = self.to_music(self.take.footfalls[inside])
        in_span = (times >= 0) & (times < seconds)
        return times[in_span], self.take.feet[inside][in_span]

    def step_times(self, seconds: float) -> dict[str, Array]:
        """Touch-downs near a beat, by foot."""
        times, feet = self.footfalls(seconds)
        spacing = float(np.median(np.diff(self.target_beats)))
        near = np.abs(times[:, None] - self.target_beats).min(axis=1) <= min(
            MAX_STEP_OFFSET_SECONDS, MAX_STEP_OFFSET_BEATS * spacing
        )
        return {
            limb: np.unique(times[near & (feet == k)]) for k, limb in enumerate(("left_foot", "right_foot"))
        }


def plan_warp(take: Motion, grid: Grid, seconds: float, rng: np.random.Generator) -> Warp | None:
    """Compute the warp of :func:`warp_to_grid`, with the same arguments and errors."""
    if take.names != JOINTS:
        raise DataError(f"a take with {len(take.names)} joints; expected the 22 of the common skeleton")
    rhythm = take.rhythm if isinstance(take, Take) else estimate_take_rhythm(take)
    if rhythm is None:
        return None
    bar = 3 if grid.metre == 3 else 4
    # Two bars, because feet alternate: with three steps per bar the same foot returns after six.
    if periodicity(rhythm.movement, 2 * bar) < max(
        periodicity(rhythm.movement, 2 * (7 - bar)), MIN_PERIODICITY
    ):
        return None
    strongest = strongest_beat(rhythm.accents, bar)
    take_period = 60 / rhythm.bpm
    period = float(np.median(np.diff(grid.beats)))
    rates = {ratio: take_period * ratio / period for ratio in BEAT_RATIOS}
    ratios = [ratio for ratio in BEAT_RATIOS if MIN_RATE < rates[ratio] < MAX_RATE]
    for ratio in sorted(ratios, key=lambda ratio: abs(np.log(rates[ratio]))):
        targets, downbeat = _target_beats(grid, seconds, ratio)
        # The take's strongest beat falls on the first downbeat.
        choices = np.arange((strongest - downbeat) % bar, len(rhythm.beats) - 2, bar)
        choices = choices[choices >= 1]
        without_loop = choices[choices + len(targets) < len(rhythm.beats)]
        if not len(without_loop):
            without_loop = choices[: max(1, len(choices) // 2)]
        for begin in rng.permutation(without_loop)[:3]:
            looped = loop_take(take.joints, take.fps, rhythm, int(begin), len(targets), bar)
            if looped is None:
                continue
            beats = looped.beats[begin : begin + len(targets)]
            aligned = _align_to_footfalls(targets, beats, looped.footfalls)
            if aligned is not None:
                return Warp(looped, targets, *_smooth_warp(targets, aligned))
    return None


def _target_beats(grid: Grid, seconds: float, ratio: float) -> tuple[Array, int]:
    """Times on which the take's beats should fall, and the index of the first downbeat among them.

    They reach from the last one at or before 0 to the second one after the span.
    """
    period = float(np.median(np.diff(grid.beats)))
    grid = extend_grid(grid, -6 * grid.metre * period, seconds + 4 * period)
    times, downbeats = grid.beats, np.flatnonzero(grid.positions == 1)
    if ratio == 2:
        times = np.interp(np.arange(2 * len(times) - 1) / 2, np.arange(len(times)), times)
        downbeats = 2 * downbeats
    elif ratio == 0.5:
        # Every second beat, including the first downbeat after 0 s.
        anchor = downbeats[np.searchsorted(times[downbeats], 0.0)]
        times, downbeats = times[anchor % 2 :: 2], np.array([anchor // 2])
    first = int(np.searchsorted(times, 0.0, side="right")) - 1
    last = min(int(np.searchsorted(times, seconds)) + 1, len(times) - 1)
    after = downbeats[downbeats >= first]
    return times[first : last + 1], int(after[0] - first)


def _align_to_footfalls(targets: Array, beats: Array, footfalls: Array) -> Array | None:
    """(K,) times of the take for the targets: on footfalls, near the take's beats.

    Viterbi search over the shifts of the beats; None if no path stays within the limits of the rate.
    """
    shifts = np.arange(-MAX_SHIFT_SECONDS, MAX_SHIFT_SECONDS + SHIFT_STEP_SECONDS / 2, SHIFT_STEP_SECONDS)
    times = beats[:, None] + shifts
    fine = np.arange(times.min(), times.max() + SHIFT_STEP_SECONDS, SHIFT_STEP_SECONDS / 2)
    salience = np.interp(times, fine, footfall_salience(fine, footfalls))
    cost = 0.3 * (shifts / MAX_SHIFT_SECONDS) ** 2 - salience
    spans = np.diff(targets)
    median_rate = float(np.median(np.diff(beats) / spans))
    total, back = cost[0], np.zeros(times.shape, dtype=np.int64)
    for k, span in enumerate(spans):
        rate = (times[k + 1][None, :] - times[k][:, None]) / span
        allowed = (rate >= MIN_RATE) & (rate <= MAX_RATE)
        change = np.where(allowed, np.log(np.where(allowed, rate, median_rate) / median_rate) ** 2, np.inf)
        totals = total[:, None] + RATE_CHANGE_COST * change
        back[k + 1] = totals.argmin(axis=0)
        total = totals.min(axis=0) + cost[k + 1]
        if not np.isfinite(total).any():
            return None
    path = [int(total.argmin())]
    for k in range(len(spans), 0, -1):
        path.append(int(back[k, path[-1]]))
    return times[np.arange(len(targets)), path[::-1]]


def _smooth_warp(targets: Array, aligned: Array) -> tuple[Array, Array]:
    """Times of the music and of the take, with a smoothly changing rate.

    The smoothed rate is a weighted mean of the original rates, so that it keeps their limits.
    """
    rate, margin = 240.0, 6 * RATE_SMOOTHING_SECONDS
    clock = np.arange(targets[0] - margin, targets[-1] + margin, 1 / rate)
    first = (aligned[1] - aligned[0]) / (targets[1] - targets[0])
    last = (aligned[-1] - aligned[-2]) / (targets[-1] - targets[-2])
    lines = np.interp(clock, targets, aligned)
    lines += np.minimum(clock - targets[0], 0) * first + np.maximum(clock - targets[-1], 0) * last
    smooth = gaussian_filter1d(lines, RATE_SMOOTHING_SECONDS * rate, mode="nearest", truncate=5.0)
    inside = (clock > targets[0] - 1 / rate) & (clock < targets[-1] + 1 / rate)
    return clock[inside], smooth[inside]


def _read_npz_takes(path: Path) -> list[Take]:
    arrays = read_npz(path)
    if {"joints", "names", "fps", "start"} <= arrays.keys():
        return [_make_take(read_motion(path)[0], safe_file_name(path.stem))]
    if not {"names", "fps"} <= arrays.keys():
        raise DataError(
            f"{path}: has the arrays {', '.join(arrays)}; expected names, fps and an array (T, J, 3) per take"
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
    """Longest stretch of frames without a tracking error."""
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

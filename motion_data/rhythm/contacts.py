"""When feet stand on the floor, and when they touch down: the contact pulses of a motion.

That contacts guide the motion tower is the paper's [P]; how they are found is ours [O]: from speed
in m/s and height in m, each with two thresholds, so that a foot near one of them does not flicker.
Everything is reckoned at one internal rate, after smoothing that is wider than a frame at 30
frames a second, so that the same motion has the same contacts at any frame rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, percentile_filter
from scipy.signal import find_peaks

from motion_data.errors import DataError
from motion_data.motion import MAX_FPS, MIN_FPS
from motion_data.rhythm.speed import resample_track, smooth_track, smoothed_speed
from motion_data.skeleton import FEET, HANDS

RATE = 120.0
"""Samples a second that contacts are looked for at, whatever the motion's frame rate."""

REST_SPEED, MOVING_SPEED = 0.35, 0.60
"""m/s: a joint comes to rest below the first, and is in motion again above the second."""

LOW_HEIGHT, HIGH_HEIGHT = 0.04, 0.08
"""Metres above its own floor: a joint is down below the first, and up again above the second."""

MIN_CONTACT_SECONDS, MIN_GAP_SECONDS = 0.060, 0.060
"""Seconds. A shorter gap is no step: it is closed first. A shorter contact then is none."""

FLOOR_PERCENTILE = 5.0
"""A joint's floor is this percentile of its height: robust where a foot dips below the floor."""

FLOOR_WINDOW_SECONDS, MAX_FLOOR_DRIFT = 6.0, 0.05
"""The floor is followed over windows of so many seconds, within so many metres of the whole clip's."""

MIN_STROKE_DEPTH, MIN_STROKE_GAP_SECONDS = 0.01, 0.10
"""Metres that a hand falls and rises around a stroke; seconds between two strokes of a hand."""


@dataclass(frozen=True)
class Contacts:
    """The contacts of one limb with the floor: it is down while at least one of its joints rests."""

    intervals: NDArray[np.float64]
    """(N, 2) seconds from and until, in order, apart from each other. One that is under way at the first
    frame begins there, one that goes on after the last ends there."""
    span: tuple[float, float]
    """Seconds of the first and the last frame."""

    @property
    def onsets(self) -> NDArray[np.float64]:
        """(M,) seconds of the touch-downs: where contacts begin, but for one that the clip begins in."""
        begins: NDArray[np.float64] = self.intervals[:, 0]
        return begins[begins > self.span[0]]


def foot_contacts(
    joints: NDArray[np.floating[Any]], names: Sequence[str], fps: float, start: float = 0.0
) -> dict[str, Contacts]:
    """The contacts of both feet with the floor.

    Args:
        joints: (T, J, 3) in metres, y up; T at least 2.
        names: of the J joints; those of :data:`~motion_data.skeleton.FEET` are looked at.
        fps: frames a second.
        start: seconds at which frame 0 stands.

    Returns:
        ``left_foot`` and ``right_foot``, as far as one of their joints is named.

    Raises:
        DataError: shapes that do not fit, numbers that are none, a frame rate that cannot be.
    """
    _check(joints, names, fps)
    contacts = {}
    for limb, candidates in FEET.items():
        seen = tuple(name for name in candidates if name in names)
        if not seen:
            continue
        runs = [_rest_intervals(resample_track(joints[:, names.index(name)], fps, RATE)) for name in seen]
        intervals = _debounce(np.concatenate(runs))
        span = (start, start + (len(joints) - 1) / fps)
        contacts[limb] = Contacts(np.clip(start + intervals / RATE, *span), span)
    return contacts


def hand_strokes(
    joints: NDArray[np.floating[Any]], names: Sequence[str], fps: float, start: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Where each hand ends its way down and turns up again, as at a key or on a drum.

    Arguments and errors as for :func:`foot_contacts`; the joints are those of
    :data:`~motion_data.skeleton.HANDS`.

    Returns:
        (N,) seconds for ``left_hand`` and ``right_hand``, as far as named.
    """
    _check(joints, names, fps)
    strokes = {}
    for limb, candidates in HANDS.items():
        seen = [names.index(name) for name in candidates if name in names]
        if not seen:
            continue
        track = resample_track(joints[:, seen].mean(axis=1), fps, RATE)
        height = smooth_track(track[:, 1], RATE)
        lowest, _ = find_peaks(
            -height, prominence=MIN_STROKE_DEPTH, distance=max(1, round(MIN_STROKE_GAP_SECONDS * RATE))
        )
        strokes[limb] = start + (lowest + _parabola_vertex(height, lowest)) / RATE
    return strokes


def contact_pulses(
    joints: NDArray[np.floating[Any]], names: Sequence[str], fps: float, start: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """The touch-downs of each foot; where no joint of a foot is named, the strokes of each hand.

    Leave the names of joints that are out of view out. Arguments and errors as for
    :func:`foot_contacts`.

    Returns:
        (N,) increasing seconds for ``left_foot`` and ``right_foot``, or for ``left_hand`` and
        ``right_hand``; nothing where neither is named.
    """
    feet = foot_contacts(joints, names, fps, start)
    if feet:
        return {limb: contacts.onsets for limb, contacts in feet.items()}
    return hand_strokes(joints, names, fps, start)


def _check(joints: NDArray[np.floating[Any]], names: Sequence[str], fps: float) -> None:
    if joints.ndim != 3 or joints.shape[1:] != (len(names), 3) or len(joints) < 2:
        raise DataError(
            f"joints of shape {joints.shape}; expected (T, {len(names)}, 3) with T at least 2: "
            f"contacts need two frames, and a name for every joint"
        )
    if not MIN_FPS <= fps <= MAX_FPS:
        raise DataError(f"{fps:g} frames a second; expected {MIN_FPS:g} to {MAX_FPS:g}: give the true rate")
    if not np.isfinite(joints).all():
        count = int((~np.isfinite(joints)).any(axis=2).sum())
        raise DataError(f"{count} joint positions are NaN or infinite; expected numbers: fill the gaps first")


def _rest_intervals(track: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) samples, not whole, from and until which one joint rests on its floor."""
    speed = smoothed_speed(track, RATE)
    height = smooth_track(track[:, 1], RATE)
    height = height - _floor_height(height)
    # How far inside (above 0) or outside the tighter and the wider pair of thresholds a sample is.
    enter = np.minimum(1 - speed / REST_SPEED, 1 - height / LOW_HEIGHT)
    leave = np.minimum(1 - speed / MOVING_SPEED, 1 - height / HIGH_HEIGHT)
    begins = np.flatnonzero((enter > 0) & ~np.concatenate([[False], enter[:-1] > 0]))
    runs, free = [], 0
    for begin in begins:
        if begin < free:
            continue
        away = np.flatnonzero(leave[begin:] <= 0)
        end = begin + int(away[0]) if len(away) else len(track)
        runs.append((_crossing(enter, begin), _crossing(leave, end) if end < len(track) else end - 1.0))
        free = end
    return np.array(runs, dtype=np.float64).reshape(-1, 2)


def _floor_height(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,) height of the floor under a joint: slowly drifting, as a capture's floor does."""
    whole = np.percentile(height, FLOOR_PERCENTILE)
    # Every sixth sample will do for what changes over seconds.
    step = 6
    size = max(1, round(FLOOR_WINDOW_SECONDS * RATE / step))
    local = percentile_filter(height[::step], FLOOR_PERCENTILE, size=size, mode="nearest")
    local = gaussian_filter1d(local, size / 6, mode="nearest")
    drift = np.clip(local - whole, -MAX_FLOOR_DRIFT, MAX_FLOOR_DRIFT)
    floor: NDArray[np.float64] = whole + np.interp(
        np.arange(len(height)), np.arange(len(local)) * step, drift
    )
    return floor


def _crossing(margin: NDArray[np.float64], after: int) -> float:
    """Where between the samples before and at ``after`` a margin passes 0."""
    if after == 0:
        return 0.0
    before, now = margin[after - 1], margin[after]
    return float(after - now / (now - before))


def _debounce(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Runs of several joints as one limb's: joined where they overlap or nearly touch, short ones dropped."""
    joined: list[list[float]] = []
    for begin, end in runs[np.argsort(runs[:, 0], kind="stable")]:
        if joined and begin - joined[-1][1] < MIN_GAP_SECONDS * RATE:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    kept = [run for run in joined if run[1] - run[0] >= MIN_CONTACT_SECONDS * RATE]
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def _parabola_vertex(curve: NDArray[np.float64], lowest: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where between the samples a curve is lowest: the vertex of a parabola, in ±0.5 samples."""
    before, now, after = curve[lowest - 1], curve[lowest], curve[lowest + 1]
    bend = before - 2 * now + after
    offset = np.divide(0.5 * (before - after), bend, out=np.zeros(len(lowest)), where=bend > 1e-12)
    return np.clip(offset, -0.5, 0.5)

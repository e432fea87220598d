"""Detection of foot contacts and touch-downs.

Guiding the motion tower by contacts is from the paper [P]; their detection is ours [O]. It is based on speed
and height, each with two thresholds (hysteresis). It works at one internal sample rate, after smoothing over
more than a frame at 30 frames per second, so contacts do not depend on the frame rate.
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
"""Internal sample rate in Hz."""

REST_SPEED, MOVING_SPEED = 0.35, 0.60
"""Hysteresis in m/s: a joint comes to rest below the first, and moves again above the second."""

LOW_HEIGHT, HIGH_HEIGHT = 0.04, 0.08
"""Hysteresis in metres above the joint's floor: it is down below the first, and up again above the second."""

MIN_CONTACT_SECONDS, MIN_GAP_SECONDS = 0.060, 0.060
"""Shorter gaps are closed first, then shorter contacts are removed."""

FLOOR_PERCENTILE = 5.0
"""A joint's floor is this percentile of its height, which is robust against feet that sink into the floor."""

FLOOR_WINDOW_SECONDS, MAX_FLOOR_DRIFT = 6.0, 0.05
"""The floor is estimated in windows of this length, and limited to this distance in metres from that of the
whole clip."""

MIN_STROKE_DEPTH, MIN_STROKE_GAP_SECONDS = 0.01, 0.10
"""Minimum fall and rise of a hand around a stroke in metres; minimum interval between strokes of a hand."""


@dataclass(frozen=True)
class Contacts:
    """The contacts of one limb with the floor, during which at least one of its joints rests."""

    intervals: NDArray[np.float64]
    """(N, 2) start and end in seconds, increasing and disjoint, limited to ``span``."""
    span: tuple[float, float]
    """Times of the first and last frame in seconds."""

    @property
    def onsets(self) -> NDArray[np.float64]:
        """(M,) touch-downs in seconds: the starts of contacts, except of one that exists at the first
        frame."""
        begins: NDArray[np.float64] = self.intervals[:, 0]
        return begins[begins > self.span[0]]


def foot_contacts(
    joints: NDArray[np.floating[Any]], names: Sequence[str], fps: float, start: float = 0.0
) -> dict[str, Contacts]:
    """Detect the contacts of both feet with the floor.

    Args:
        joints: (T, J, 3) in metres, y up; T at least 2.
        names: (J,) joint names; those of :data:`~motion_data.skeleton.FEET` are used.
        fps: frames per second.
        start: time of frame 0 in seconds.

    Returns:
        ``left_foot`` and ``right_foot``, if at least one of their joints is named.

    Raises:
        DataError: shapes do not fit, values are not finite, or the frame rate is out of range.
    """
    _check(joints, names, fps)
    contacts = {}
    for limb, limb_joints in FEET.items():
        columns = [names.index(name) for name in limb_joints if name in names]
        if not columns:
            continue
        runs = [_rest_intervals(resample_track(joints[:, column], fps, RATE)) for column in columns]
        intervals = _debounce(np.concatenate(runs))
        span = (start, start + (len(joints) - 1) / fps)
        contacts[limb] = Contacts(np.clip(start + intervals / RATE, *span), span)
    return contacts


def hand_strokes(
    joints: NDArray[np.floating[Any]], names: Sequence[str], fps: float, start: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Detect the lowest points of each hand's movement, as in strokes on a key or drum.

    Arguments and errors as for :func:`foot_contacts`; the joints are those of
    :data:`~motion_data.skeleton.HANDS`.

    Returns:
        (N,) seconds for ``left_hand`` and ``right_hand``, if named.
    """
    _check(joints, names, fps)
    strokes = {}
    for limb, limb_joints in HANDS.items():
        columns = [names.index(name) for name in limb_joints if name in names]
        if not columns:
            continue
        track = resample_track(joints[:, columns].mean(axis=1), fps, RATE)
        height = smooth_track(track[:, 1], RATE)
        lowest, _ = find_peaks(
            -height, prominence=MIN_STROKE_DEPTH, distance=max(1, round(MIN_STROKE_GAP_SECONDS * RATE))
        )
        strokes[limb] = start + (lowest + _parabola_vertex(height, lowest)) / RATE
    return strokes


def contact_pulses(
    joints: NDArray[np.floating[Any]], names: Sequence[str], fps: float, start: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Detect the touch-downs of each foot, or the strokes of each hand if no foot joints are named.

    Omit joints that are out of view. Arguments and errors as for :func:`foot_contacts`.

    Returns:
        (N,) increasing seconds for ``left_foot`` and ``right_foot``, or for ``left_hand`` and ``right_hand``;
        empty if neither is named.
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
    """(N, 2) start and end, in fractional samples, of the intervals in which a joint rests on its floor."""
    speed = smoothed_speed(track, RATE)
    height = smooth_track(track[:, 1], RATE)
    height = height - _floor_height(height)
    # Margins of the tighter and the wider pair of thresholds, positive inside.
    enter = np.minimum(1 - speed / REST_SPEED, 1 - height / LOW_HEIGHT)
    leave = np.minimum(1 - speed / MOVING_SPEED, 1 - height / HIGH_HEIGHT)
    begins = np.flatnonzero((enter > 0) & ~np.concatenate([[False], enter[:-1] > 0]))
    intervals, last_end = [], 0
    for begin in begins:
        if begin < last_end:
            continue
        outside = np.flatnonzero(leave[begin:] <= 0)
        end = begin + int(outside[0]) if len(outside) else len(track)
        intervals.append((_crossing(enter, begin), _crossing(leave, end) if end < len(track) else end - 1.0))
        last_end = end
    return np.array(intervals, dtype=np.float64).reshape(-1, 2)


def _floor_height(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,) height of the floor under a joint, which may drift slowly in motion capture."""
    mean_floor = np.percentile(height, FLOOR_PERCENTILE)
    step = 6  # the floor changes slowly
    size = max(1, round(FLOOR_WINDOW_SECONDS * RATE / step))
    local = percentile_filter(height[::step], FLOOR_PERCENTILE, size=size, mode="nearest")
    local = gaussian_filter1d(local, size / 6, mode="nearest")
    drift = np.clip(local - mean_floor, -MAX_FLOOR_DRIFT, MAX_FLOOR_DRIFT)
    floor: NDArray[np.float64] = mean_floor + np.interp(
        np.arange(len(height)), np.arange(len(local)) * step, drift
    )
    return floor


def _crossing(margin: NDArray[np.float64], after: int) -> float:
    """Fractional sample between ``after - 1`` and ``after`` at which a margin crosses 0."""
    if after == 0:
        return 0.0
    before, now = margin[after - 1], margin[after]
    return float(after - now / (now - before))


def _debounce(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Merge the intervals of a limb's joints: join those closer than a gap, then drop short ones."""
    joined: list[list[float]] = []
    for begin, end in runs[np.argsort(runs[:, 0], kind="stable")]:
        if joined and begin - joined[-1][1] < MIN_GAP_SECONDS * RATE:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    contacts = [run for run in joined if run[1] - run[0] >= MIN_CONTACT_SECONDS * RATE]
    return np.array(contacts, dtype=np.float64).reshape(-1, 2)


def _parabola_vertex(curve: NDArray[np.float64], lowest: NDArray[np.int64]) -> NDArray[np.float64]:
    """Offset of a minimum from its sample, in ±0.5 samples, by parabolic interpolation."""
    before, now, after = curve[lowest - 1], curve[lowest], curve[lowest + 1]
    bend = before - 2 * now + after
    offset = np.divide(0.5 * (before - after), bend, out=np.zeros(len(lowest)), where=bend > 1e-12)
    return np.clip(offset, -0.5, 0.5)

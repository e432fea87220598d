"""A motion cut, and played at another rate: every frame and touch-down stays at its time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.resampling import resample_positions, resample_rotations
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS

Array = NDArray[np.float64]

rates = st.sampled_from([29.97, 30.0, 50.0, 60.0, 120.0])


@st.composite
def motions(draw: st.DrawFn, with_joints: bool | None = None) -> Motion:
    """Random joints, rotations and touch-downs, beginning before or after the sound."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    fps, frames = draw(rates), draw(st.integers(20, 400))
    names = JOINTS if draw(st.booleans()) or with_joints else ()
    start = draw(st.sampled_from([0.0, -0.315, 0.1, 1 / 3]))
    pulses = {
        limb: start + np.sort(rng.choice(1000, 12, replace=False) + 0.371) / 1000 * frames / fps
        for limb in ("left_foot", "right_foot")
    }
    rotations = rng.normal(size=(frames, 22, 3)) if names and draw(st.booleans()) else None
    return Motion(fps, names, rng.normal(size=(frames, len(names), 3)), start, rotations, pulses)


@settings(max_examples=150, deadline=None)
@given(motions(with_joints=True), st.floats(-1, 8), st.floats(0.1, 6), st.sampled_from([0.0, 0.5, 2.0]))
def test_what_is_cut_is_what_stood_there(motion: Motion, start: float, length: float, margin: float) -> None:
    low, high = start - margin, start + length + margin
    try:
        part = motion.between(start, start + length, margin)
    except DataError:
        assert (motion.times < high).sum() - (motion.times <= low).sum() < 2
        return
    assert part.fps == motion.fps
    assert part.names == motion.names
    assert part.frames >= 2
    # Frames keep their places in time, to half a sample of the sound; not one is missing.
    first = int(np.abs(motion.times - (part.start + start)).argmin())
    kept = slice(first, first + part.frames)
    assert part.times + start == pytest.approx(motion.times[kept], abs=0.6 / 16_000)
    assert np.array_equal(part.joints, motion.joints[kept])
    assert (part.rotations is None) == (motion.rotations is None)
    if part.rotations is not None and motion.rotations is not None:
        assert np.array_equal(part.rotations, motion.rotations[kept])
    frame = 1 / motion.fps + 1e-4
    around = math.floor(margin * motion.fps + 1e-6) / motion.fps
    assert max(low, motion.start) - frame < part.start + start < max(start - around, motion.start) + frame
    end = part.start + start + part.seconds
    assert min(start + length + around, motion.start + motion.seconds) - 1e-4 <= end
    assert end < high + frame
    for limb, times in motion.pulses.items():
        assert part.pulses[limb] + start == pytest.approx(
            [time for time in times if _kept(time - start, part, length, around)]
        )


def _kept(time: float, part: Motion, length: float, around: float) -> bool:
    return part.start <= time < part.start + part.seconds if around else 0 <= time < length


@settings(max_examples=60, deadline=None)
@given(motions(), st.floats(0, 3), st.floats(0.5, 3), st.floats(0, 0.4), st.floats(0.2, 2))
def test_a_cut_of_a_cut_is_the_cut(
    motion: Motion, start: float, length: float, within: float, inner: float
) -> None:
    begin = start + within
    assume(begin + inner <= start + length)
    try:
        once, twice = (
            motion.between(begin, begin + inner),
            motion.between(start, start + length).between(within, within + inner),
        )
    except DataError:
        return
    # Where a frame stands within half a sample of one of the cuts, it may count for it or not.
    if motion.names and _near_a_frame(motion, (start, begin, begin + inner)):
        return
    assert once.frames == twice.frames
    assert once.start == pytest.approx(twice.start, abs=1e-9)
    assert np.array_equal(once.joints, twice.joints)
    for limb, times in once.pulses.items():
        assert times == pytest.approx(twice.pulses[limb], abs=1e-9)


def _near_a_frame(motion: Motion, times: tuple[float, ...]) -> bool:
    frames = (np.array(times) - motion.start) * motion.fps
    return bool((np.abs(frames - np.round(frames)) < 1e-2).any())


def test_touch_downs_alone_are_as_long_as_was_asked_for() -> None:
    steps = Motion(50.0, (), np.zeros((100, 0, 3)), 0.0, None, {"left_foot": np.array([0.5, 1.5])})
    part = steps.between(1.0, 4.0, 1.0)
    assert (part.start, part.seconds) == (-1.0, 5.0)
    assert part.pulses["left_foot"].tolist() == [-0.5, 0.5]
    assert steps.between(1.0, 4.0).pulses["left_foot"].tolist() == [0.5]
    assert steps.between(9.0, 9.01).frames == 2


def test_a_frame_within_half_a_sample_counts_as_standing_there() -> None:
    motion = Motion(50.0, ("pelvis",), np.arange(300.0).reshape(100, 1, 3))
    for off in (-3e-5, 0.0, 3e-5):
        part = motion.between(0.5 + off, 1.0 + off)
        assert (part.start, part.frames) == (0.0, 25)
        assert np.array_equal(part.joints, motion.joints[25:50])
    assert motion.between(0.5 - 1e-3, 1.0).start == pytest.approx(-0.019)
    assert motion.frames_between(-5.0, 9.0) == (0, 100)
    assert motion.frames_between(5.0, 9.0) == (100, 100)


@settings(max_examples=60, deadline=None)
@given(motions(), rates, st.sampled_from([0.8, 1.0, 1.25]))
def test_another_rate_or_speed_moves_all_alike(motion: Motion, fps: float, speed: float) -> None:
    played = motion.at_rate(fps, speed)
    assert played.fps == fps
    assert played.start == motion.start / speed
    assert -1e-9 <= played.seconds - motion.seconds / speed < 1 / fps + 1e-6
    for limb, times in motion.pulses.items():
        assert np.array_equal(played.pulses[limb], times / speed)
    if fps == motion.fps and speed == 1.0:
        assert played is motion
    elif motion.names:
        assert (played.rotations is None) == (motion.rotations is None)
        expected = resample_positions(motion.joints, motion.fps * speed, fps).astype(np.float32)
        assert np.array_equal(played.joints, expected)
        if motion.rotations is not None and played.rotations is not None:
            turned = resample_rotations(motion.rotations, motion.fps * speed, fps).astype(np.float32)
            assert np.array_equal(played.rotations, turned)


def test_a_motion_too_short_for_a_rate_is_refused() -> None:
    with pytest.raises(DataError, match=r"lasts 0\.03 s; expected two frames at 30 fps"):
        Motion(60.0, ("pelvis",), np.zeros((2, 1, 3))).at_rate(30.0)


def test_later_moves_frames_and_touch_downs() -> None:
    motion = Motion(30.0, (), np.zeros((30, 0, 3)), 0.5, None, {"left_foot": np.array([0.6])})
    assert motion.shift(1.0).start == 1.5
    assert motion.shift(1.0).pulses["left_foot"].tolist() == [1.6]


# What the one function replaced, kept here to be compared with.


def _cut_with_margin(motion: Motion, frame: int, start: float, stop: float, margin: float) -> Motion:
    """The pipeline's: ``frame`` stands at the clip's start."""
    count = math.ceil((stop - start) * motion.fps - 1e-6)
    around = math.floor(margin * motion.fps + 1e-6)
    if motion.names:
        low = max(-frame, -around)
        joints = motion.joints[frame + low : frame + count + around]
    else:
        low, joints = -around, np.zeros((max(2, count + 2 * around), 0, 3), dtype=np.float32)
    begin, end = low / motion.fps, (low + len(joints)) / motion.fps
    pulses = {
        limb: times[(times >= start + begin) & (times < start + end)] - start
        for limb, times in motion.pulses.items()
    }
    if around == 0:
        pulses = {limb: times[(times >= 0) & (times < stop - start)] for limb, times in pulses.items()}
    return Motion(motion.fps, motion.names, joints, begin, None, pulses)


@settings(max_examples=150, deadline=None)
@given(motions(), st.integers(0, 300), st.integers(8000, 64_000), st.sampled_from([0.0, 0.5, 2.0]))
def test_clips_are_bit_by_bit_what_the_pipeline_cut(
    motion: Motion, frame: int, samples: int, margin: float
) -> None:
    start = round((motion.start + frame / motion.fps) * 16_000) / 16_000
    stop = start + samples / 16_000
    assume(start >= 0 and stop <= motion.start + motion.seconds)
    expected = _cut_with_margin(motion, frame, start, stop, margin)
    found = motion.between(start, stop, margin)
    assert found.start == expected.start
    assert np.array_equal(found.joints, expected.joints)
    for limb, times in expected.pulses.items():
        assert np.array_equal(found.pulses[limb], times)


@settings(max_examples=150, deadline=None)
@given(motions(with_joints=True), st.floats(0.5, 6))
def test_pairs_are_cut_as_the_adapters_cut_them(motion: Motion, seconds: float) -> None:
    first = max(0, math.floor(-motion.start * motion.fps + 1e-6))
    last = min(motion.frames, math.ceil((seconds - motion.start) * motion.fps - 1e-6))
    assume(last - first >= 2)
    part = motion.between(0.0, seconds)
    assert part.start == pytest.approx(motion.start + first / motion.fps, abs=1e-12)
    assert np.array_equal(part.joints, motion.joints[first:last])
    for limb, times in motion.pulses.items():
        assert np.array_equal(part.pulses[limb], times[(times >= 0) & (times < seconds)])

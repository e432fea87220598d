"""Contacts: what was planted is found, whatever the frame rate, and never flickers."""

from __future__ import annotations

import itertools
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.bvh_file import forward_kinematics, read_bvh_file
from motion_data.corpora.constructed.dancer import STYLES, dance
from motion_data.errors import DataError
from motion_data.rhythm.contacts import (
    MIN_CONTACT_SECONDS,
    MIN_GAP_SECONDS,
    contact_pulses,
    foot_contacts,
)
from motion_data.rhythm.speed import smoothed_speed
from motionbeat_upstream.tracking.grid import regular_grid
from tests.shared_data import shared

SALSA = "motion/cmu_salsa/salsa_joints_60fps.npz"
RENAMED = {
    **{"lFoot": "left_ankle", "rFoot": "right_ankle"},
    **{"lFoot_End": "left_foot", "rFoot_End": "right_foot"},
}
"""Common names of the feet of CMU's salsa."""
NAMES = ("left_ankle", "left_foot", "right_ankle", "right_foot", "head")
RATES = (30.0, 60.0, 100.0, 120.0)


def salsa(take: str) -> tuple[NDArray[np.float32], list[str], float]:
    """Joints, common names of the feet, and frame rate of a take of CMU's salsa."""
    with np.load(shared(SALSA)) as arrays:
        names = [RENAMED.get(name, name) for name in arrays["names"].tolist()]
        return arrays[f"take_{take}"], names, float(arrays["fps"])


def stepping(
    steps: list[tuple[float, float]], seconds: float, fps: float, tilt: float = 0.0
) -> NDArray[np.float64]:
    """A body whose left foot swings during ``steps`` (from, until) and stands between them.

    The right foot always stands; the floor rises by ``tilt`` metres over the clip.
    """
    times = np.arange(int(seconds * fps) + 1) / fps
    joints = np.zeros((len(times), len(NAMES), 3))
    joints[:, :, 1] = [0.09, 0.02, 0.09, 0.02, 1.6]
    joints[:, :, 1] += tilt * times[:, None] / seconds
    for begin, end in steps:
        part = np.clip((times - begin) / (end - begin), 0, 1)
        swing = part - np.sin(2 * np.pi * part) / (2 * np.pi)
        joints[:, :2, 2] += 0.5 * swing[:, None]
        joints[:, :2, 1] += 0.15 * np.sin(np.pi * part)[:, None] ** 2
    return joints


@st.composite
def walks(draw: st.DrawFn) -> tuple[list[tuple[float, float]], float]:
    """Swings of 0.25 to 0.6 s with rests of 0.2 to 1 s between them, and how long it all takes."""
    steps, now = [], draw(st.floats(0.3, 1.0))
    for _ in range(draw(st.integers(1, 6))):
        end = now + draw(st.floats(0.25, 0.6))
        steps.append((now, end))
        now = end + draw(st.floats(0.2, 1.0))
    return steps, now + 0.3


@settings(deadline=None, max_examples=30)
@given(walks(), st.sampled_from(RATES), st.floats(-0.03, 0.03), st.floats(-5, 5))
def test_planted_feet_are_found(
    walk: tuple[list[tuple[float, float]], float], fps: float, tilt: float, start: float
) -> None:
    steps, seconds = walk
    pulses = contact_pulses(stepping(steps, seconds, fps, tilt), NAMES, fps, start)
    landings = np.array([end for _, end in steps])
    assert len(pulses["left_foot"]) == len(steps)
    # A foot comes to rest gently: the speed falls below the threshold shortly before the swing ends.
    late = pulses["left_foot"] - start - landings
    assert late.min() > -0.14
    assert late.max() < 0.03
    assert len(pulses["right_foot"]) == 0


@settings(deadline=None, max_examples=20)
@given(walks())
def test_contacts_do_not_depend_on_the_frame_rate(walk: tuple[list[tuple[float, float]], float]) -> None:
    steps, seconds = walk
    found = [foot_contacts(stepping(steps, seconds, fps), NAMES, fps)["left_foot"] for fps in RATES]
    for one, other in pairwise(found):
        assert one.intervals.shape == other.intervals.shape
        np.testing.assert_allclose(one.onsets, other.onsets, atol=0.008)
        np.testing.assert_allclose(one.intervals[:-1, 1], other.intervals[:-1, 1], atol=0.008)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(RATES), st.floats(0.0, 0.1))
def test_no_contact_and_no_gap_is_too_short(seed: int, fps: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    wander = np.cumsum(rng.normal(size=(int(4 * fps), len(NAMES), 3)), axis=0) * noise / np.sqrt(fps)
    for contacts in foot_contacts(np.abs(wander), NAMES, fps).values():
        begin, end = contacts.intervals.T
        assert (end - begin >= MIN_CONTACT_SECONDS - 1e-9).all()
        assert (begin[1:] - end[:-1] >= MIN_GAP_SECONDS - 1e-9).all()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_speed_is_in_metres_a_second(scale: float) -> None:
    for fps in RATES:
        line = np.arange(int(2 * fps))[:, None] / fps * np.array([scale, 0.0, 0.0])
        np.testing.assert_allclose(smoothed_speed(line, fps)[10:-10], scale, rtol=0.02)


def test_hands_stand_in_where_no_foot_is_named() -> None:
    fps, bpm = 30.0, 100.0
    times = np.arange(300) / fps
    joints = np.zeros((300, 3, 3))
    joints[:, 0, 1] = 1.0 - 0.03 * np.cos(2 * np.pi * (times - 0.123) * bpm / 60)
    joints[:, 1, 1] = 1.0
    pulses = contact_pulses(joints, ("left_wrist", "right_wrist", "head"), fps, start=2.0)
    assert set(pulses) == {"left_hand", "right_hand"}
    assert len(pulses["right_hand"]) == 0
    expected = 2.123 + np.arange(20) * 60 / bpm
    inside = expected[(expected > 2.1) & (expected < 2.0 + 299 / fps)]
    np.testing.assert_allclose(pulses["left_hand"], inside, atol=0.004)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x: (x[:1], NAMES, 60.0), "at least 2"),
        (lambda x: (x, NAMES[:3], 60.0), r"expected \(T, 3, 3\)"),
        (lambda x: (x, NAMES, 0.0), "true rate"),
        (lambda x: (x, NAMES, float("nan")), "true rate"),
        (lambda x: (np.where(np.arange(len(x))[:, None, None] == 7, np.nan, x), NAMES, 60.0), "5 joint"),
    ],
)
def test_what_cannot_be_is_refused(change: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        contact_pulses(*change(stepping([(0.4, 0.8)], 2.0, 60.0)))


def test_salsa_has_no_flicker_and_steps_like_salsa() -> None:
    """All 28 clips: no contact and no gap under 60 ms; 1 to 2.3 steps a second of each foot."""
    with np.load(shared(SALSA)) as arrays:
        takes = [name.removeprefix("take_") for name in arrays.files if name.startswith("take_")]
    assert len(takes) == 28
    for take in takes:
        joints, names, fps = salsa(take)
        for contacts in foot_contacts(joints, names, fps).values():
            begin, end = contacts.intervals.T
            assert (end - begin).min() >= MIN_CONTACT_SECONDS - 1e-9
            assert (begin[1:] - end[:-1]).min() >= MIN_GAP_SECONDS - 1e-9
            assert 0.9 < len(begin) * fps / len(joints) < 2.5
            assert 0.4 < (end - begin).sum() * fps / len(joints) < 0.85


def test_the_same_capture_at_120_and_60_frames_has_the_same_contacts() -> None:
    """The raw BVH has the frames that the arrays were thinned from, and one more at the beginning."""
    joints, names, fps = salsa("60_01")
    bvh = read_bvh_file(shared("motion/cmu_salsa/60_01.bvh"))
    raw = forward_kinematics(bvh)[1:]
    assert bvh.fps == pytest.approx(120, abs=0.1)
    assert len(raw) in (2 * len(joints), 2 * len(joints) - 1, 2 * len(joints) + 1)
    raw *= np.ptp(joints[:, :, 1]) / np.ptp(raw[:, :, 1])
    raw_names = [RENAMED.get(node.name, node.name) for node in bvh.nodes]
    for limb, contacts in foot_contacts(joints, names, fps).items():
        found = foot_contacts(raw, raw_names, bvh.fps)[limb].onsets
        assert len(found) == len(contacts.onsets)
        apart = np.abs(found - contacts.onsets)
        # Where a foot comes down hesitating, the threshold is passed at a flat angle.
        assert np.mean(apart < 0.01) > 0.9
        assert apart.max() < 0.03


@pytest.mark.parametrize("metre", list(STYLES))
def test_the_parametric_dancers_touch_downs_are_found(metre: int) -> None:
    """The dancer knows when its feet come down: 98 in 100 are found within 120 ms, most within 20 ms."""
    late, missed = [], 0
    for style, seed in itertools.product(STYLES[metre], range(3)):
        rng = np.random.default_rng([metre, len(style), seed])
        grid = regular_grid(12.0, rng.uniform(80, 160), metre, rng.uniform(0, 0.5))
        motion = dance(grid, style, 12.0, rng.uniform(0.2, 0.9), rng)
        pulses = contact_pulses(motion.joints, motion.names, motion.fps, motion.start)
        for limb, known in motion.pulses.items():
            known = known[(known > 0.3) & (known < 11.7)]
            if len(known):
                nearest = np.concatenate([pulses[limb], [99.0]])
                off = nearest[np.abs(nearest[:, None] - known).argmin(axis=0)] - known
                late += off[np.abs(off) < 0.12].tolist()
                missed += int((np.abs(off) >= 0.12).sum())
    assert missed < 0.06 * (missed + len(late))
    assert np.median(np.abs(late)) < 0.02


def test_salsa_at_half_the_frame_rate_has_nearly_the_same_contacts() -> None:
    joints, names, fps = salsa("60_01")
    for limb, contacts in foot_contacts(joints, names, fps).items():
        halved = foot_contacts(joints[::2], names, fps / 2)[limb].onsets
        apart = np.abs(contacts.onsets[:, None] - halved).min(axis=1)
        assert np.mean(apart < 0.010) > 0.9

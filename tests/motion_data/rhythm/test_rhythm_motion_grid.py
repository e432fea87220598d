"""A motion's own grid: found where steps repeat, refused where they do not, right on a real dance."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.motion import Motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.rhythm.motion_grid import motion_grid
from tests.motion_data.rhythm.test_rhythm_contacts import NAMES, stepping
from tests.shared_data import shared


def chart(duration: float, **steps: list[float]) -> Motion:
    """Steps of either foot and no body."""
    pulses = {limb: np.unique(times) for limb, times in steps.items()}
    return Motion(60.0, (), np.zeros((round(duration * 60), 0, 3)), 0.0, None, pulses)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(85, 150), st.floats(0, 0.6))
def test_steps_on_most_beats_give_the_beat(seed: int, bpm: float, first: float) -> None:
    rng = np.random.default_rng(seed)
    beats = np.arange(first, 15.9, 60 / bpm)
    human = beats + rng.normal(0, 0.012, len(beats))
    taken = np.flatnonzero(rng.uniform(size=len(beats)) < 0.9)
    feet = {
        limb: np.clip(human[taken[taken % 2 == side]], 0, None)
        for side, limb in enumerate(("left_foot", "right_foot"))
    }
    grid = motion_grid(chart(16.0, **feet), 16.0)
    assert grid.confidence > 0.3
    assert grid.bpm == pytest.approx(bpm, rel=0.03)
    assert mir_eval.beat.f_measure(beats, grid.beats) > 0.9


def test_a_body_that_steps_gives_the_beat_too() -> None:
    """One foot steps every second beat of 120 bpm; the body stands still in between."""
    swings = [(beat - 0.35, float(beat)) for beat in range(1, 15)]
    joints = stepping(swings, 16.0, 60.0)
    motion = Motion(60.0, NAMES, joints, 0.0, None, contact_pulses(joints, NAMES, 60.0))
    grid = motion_grid(motion, 16.0)
    assert grid.bpm in (pytest.approx(60, rel=0.03), pytest.approx(120, rel=0.03))
    assert grid.confidence > 0.5
    landings = np.arange(1, 15)
    assert np.abs(landings[:, None] - grid.beats).min(axis=1).max() < 0.15


def test_steps_at_random_have_no_grid() -> None:
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        steps = np.cumsum(rng.uniform(0.25, 0.9, 60))
        found += motion_grid(chart(12.0, left_foot=steps[steps < 12].tolist()), 12.0).confidence > 0
    assert found <= 6


@pytest.mark.parametrize("duration", [0.5, 3.0, 20.0])
def test_no_steps_have_no_grid(duration: float) -> None:
    for motion in (chart(duration), Motion(60.0, ("head",), np.zeros((round(duration * 60), 1, 3)))):
        grid = motion_grid(motion, duration)
        assert grid.confidence == 0
        assert grid.beats[-1] >= duration - 0.5


@pytest.mark.parametrize("metre", [3, 4])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_both_feet_at_once_open_a_bar(metre: int, place: int) -> None:
    beats = 0.1 + np.arange(40) * 0.5
    motion = chart(20.0, left_foot=beats.tolist(), right_foot=beats[place::metre].tolist())
    grid = motion_grid(motion, 20.0)
    assert grid.metre == metre
    downbeats = grid.downbeats
    assert np.abs(downbeats[:, None] - beats[place::metre]).min(axis=1).max() < 0.05


def test_the_wavefile_dance_has_the_tempo_of_its_music() -> None:
    """133 bpm over 88 s, where the music has 135; windows of 12 s give 130 to 137."""
    with np.load(shared("motion/wavefile/wavefile_joints_30fps.npz")) as arrays:
        names = [name.replace("toe", "foot") for name in arrays["names"].tolist()]
        joints, start = arrays["pos_m"], -float(arrays["audio_offset_s"])
    pulses = contact_pulses(joints, names, 30.0, start)
    grid = motion_grid(Motion(30.0, tuple(names), joints, start, None, pulses), 88.0)
    assert grid.confidence > 0.2
    assert grid.bpm == pytest.approx(135, rel=0.03)

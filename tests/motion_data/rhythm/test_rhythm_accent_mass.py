"""Accent mass: where the weight of the pulses lies in the bar."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.rhythm.accent_mass import accent_mass, pulse_weights
from motionbeat_upstream.tracking.grid import Grid, beats_to_time, regular_grid, time_to_beats
from tests.motion_data.rhythm.test_rhythm_contacts import NAMES, stepping


def grids(seed: int, metre: int) -> Grid:
    """Twenty beats of changing length, the first of them anywhere in its bar."""
    rng = np.random.default_rng(seed)
    beats = rng.uniform(-0.5, 0.5) + np.cumsum(rng.uniform(0.3, 0.8, 20))
    return Grid(beats, (np.arange(20) + rng.integers(metre)) % metre + 1, metre)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_beats_and_seconds_are_inverse(seed: int, metre: int) -> None:
    grid = grids(seed, metre)
    times = np.linspace(-3, 20, 60)
    np.testing.assert_allclose(beats_to_time(grid, time_to_beats(grid, times)), times, atol=1e-9)
    np.testing.assert_allclose(time_to_beats(grid, grid.beats), np.arange(20), atol=1e-9)
    assert (np.diff(time_to_beats(grid, times)) > 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 4))
def test_a_pulse_on_a_beat_weighs_in_its_own_bin(seed: int, metre: int, split: int) -> None:
    rng = np.random.default_rng(seed)
    grid = regular_grid(12.0, rng.uniform(80, 160), metre, rng.uniform(0.0, 0.3))
    place = int(rng.integers(1, metre + 1))
    inside = grid.beats[(grid.positions == place) & (grid.beats >= 0) & (grid.beats < 12)]
    mass = accent_mass(inside, np.full(len(inside), 2.0), grid, metre * split, 12.0)
    full = mass.sum(axis=1) > 0
    assert full.sum() == len(inside)
    np.testing.assert_allclose(mass[full, (place - 1) * split], 1.0, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_rows_are_distributions_and_smooth_in_time(seed: int, metre: int) -> None:
    rng = np.random.default_rng(seed)
    grid, bins = grids(seed, metre), 4 * metre
    times, weights = np.sort(rng.uniform(0, 8, 25)), rng.uniform(0.1, 3, 25)
    mass = accent_mass(times, weights, grid, bins, 8.0)
    sums = mass.sum(axis=1)
    assert mass.min() >= 0
    np.testing.assert_allclose(sums[sums > 0], 1.0)
    np.testing.assert_allclose(accent_mass(times, 3 * weights, grid, bins, 8.0), mass, atol=1e-12)
    moved = accent_mass(times + 1e-6, weights, grid, bins, 8.0)
    assert np.abs(moved - mass).max() < 1e-3


def test_a_faster_step_weighs_more() -> None:
    fps = 60.0
    joints: NDArray[np.float64] = stepping([(0.5, 0.8), (1.5, 2.1)], 3.0, fps)
    motion = Motion(fps, NAMES, joints, 1.0, None, {"left_foot": np.array([1.8, 3.1])})
    fast, slow = pulse_weights(motion)["left_foot"]
    assert fast > 1.5 * slow > 0.5
    chart = Motion(60.0, (), np.zeros((100, 0, 3)), 0.0, None, {"left_foot": np.array([0.2, 0.9])})
    assert pulse_weights(chart)["left_foot"].tolist() == [1.0, 1.0]

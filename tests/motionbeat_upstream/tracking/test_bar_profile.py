import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motionbeat_upstream.tracking.bar_profile import bar_numbers, bar_profile
from motionbeat_upstream.tracking.grid import Grid, regular_grid, time_to_bars


@given(st.floats(60, 180), st.sampled_from([2, 3, 4]), st.floats(-3, 3), st.integers(0, 11))
def test_an_accent_is_in_the_bin_of_its_phase(bpm: float, metre: int, downbeat: float, accent: int) -> None:
    grid, bins = regular_grid(30, bpm, metre, downbeat), 12
    times = (np.arange(3000) + 0.5) / 100
    turn = (times - downbeat) * bpm / 60 / metre
    distance = np.abs((turn * bins - accent + bins / 2) % bins - bins / 2)
    strength = (distance < 0.4).astype(np.float32)
    profile = bar_profile(strength, 100, grid, bins)
    mean = np.nanmean(profile, axis=0)
    assert mean[accent] > 0.5
    assert np.delete(mean, accent).max() == 0
    assert np.isfinite(profile[1:-1]).all()


@given(st.floats(60, 180), st.sampled_from([2, 3, 4]), st.floats(-3, 3))
def test_bar_numbers_are_the_rows_of_the_profile(bpm: float, metre: int, downbeat: float) -> None:
    grid = regular_grid(20, bpm, metre, downbeat)
    rows = len(bar_profile(np.ones(2000, np.float32), 100, grid, 4 * metre))
    numbers = bar_numbers(grid, np.array([0.005, 19.995]), 4 * metre)
    assert numbers.tolist() == [numbers[0], rows]
    assert numbers[0] in (1, 2)
    downbeats = grid.downbeats[(grid.downbeats > 0.1) & (grid.downbeats < 19.9)]
    assert (np.diff(bar_numbers(grid, downbeats, 4 * metre)) == 1).all()


def test_bars_continue_beyond_the_outer_beats() -> None:
    grid = Grid(np.array([1.0, 1.5, 2.0]), np.array([1, 2, 3]), 4)
    np.testing.assert_allclose(
        time_to_bars(grid, np.array([0.0, 1.0, 1.25, 2.0, 3.0])), [-0.5, 0, 0.125, 0.5, 1]
    )

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionbeat_upstream.tracking import grid as grid_module
from motionbeat_upstream.tracking.grid import (
    Grid,
    beats_to_bars,
    confidence_text,
    cut_tokens,
    fallback_grid,
    fill_gaps,
    regular_grid,
    time_to_bars,
)

tempi = st.floats(30, 300)
metres = st.integers(2, 7)
durations = st.floats(0.001, 60)
offsets = st.floats(-5, 65)


@given(durations, tempi, metres, offsets, st.integers(1, 8))
def test_tokens_tile_the_clip(
    duration: float, bpm: float, metre: int, offset: float, subdivisions: int
) -> None:
    tokens = cut_tokens([regular_grid(duration, bpm, metre, offset)], [duration], subdivisions)
    start, stop = tokens.start[0].numpy(), tokens.stop[0].numpy()
    assert tokens.mask.all()
    assert (stop > start).all()
    assert abs(start[0]) < 1e-5
    assert abs(stop[-1] - duration) < 1e-5
    np.testing.assert_allclose(start[1:], stop[:-1], atol=1e-9)


@given(durations, tempi, metres, offsets)
def test_the_phase_completes_one_turn_per_bar(duration: float, bpm: float, metre: int, offset: float) -> None:
    tokens = cut_tokens([regular_grid(duration, bpm, metre, offset)], [duration], 4)
    # The phase of an uncut token follows from its middle and the tempo.
    whole = (tokens.stop - tokens.start)[0] > 60 / bpm / 4 - 1e-6
    middle = ((tokens.start + tokens.stop) / 2)[0][whole].numpy()
    bars = (middle - offset) * bpm / 60 / metre
    phase = tokens.phase[0][whole].numpy() / (2 * np.pi)
    distance = np.abs((bars - phase + 0.5) % 1 - 0.5)
    assert (distance < 1e-4).all()
    token_bars = (tokens.bar[0] + tokens.phase[0] / (2 * np.pi)).numpy()
    np.testing.assert_allclose(np.diff(token_bars), 1 / (4 * metre), atol=1e-4)
    assert tokens.bar[0, 0] == 0


def test_bars_of_another_metre_count_as_one_bar() -> None:
    grid = Grid(np.arange(9) * 0.5, np.array([4, 1, 2, 3, 1, 2, 3, 4, 1]), 4)
    bars, steps = beats_to_bars(grid)
    np.testing.assert_allclose(bars, [-0.25, 0, 1 / 3, 2 / 3, 1, 1.25, 1.5, 1.75, 2], atol=1e-12)
    np.testing.assert_allclose(steps[1:4], 1 / 3)


def test_a_grid_without_a_downbeat_keeps_its_phase() -> None:
    bars, _ = beats_to_bars(Grid(np.array([1.0, 2.0]), np.array([2, 3]), 4))
    np.testing.assert_allclose(bars, [0.25, 0.5])


def test_deprecated_names_still_work() -> None:
    with pytest.warns(DeprecationWarning, match="time_to_bars"):
        assert grid_module.turns_at is time_to_bars
    with pytest.raises(AttributeError, match="missing"):
        _ = grid_module.missing


def test_tokens_do_not_depend_on_the_batch() -> None:
    grids = [regular_grid(3, 90, 3, 0.4), fallback_grid(0.05), regular_grid(10, 171, 4, 1.0)]
    durations = [3, 0.05, 10]
    together = cut_tokens(grids, durations, 4)
    for row, (grid, duration) in enumerate(zip(grids, durations, strict=True)):
        alone = cut_tokens([grid], [duration], 4)
        count = alone.mask.shape[1]
        assert together.mask[row].sum() == count
        for name in ("start", "stop", "bar", "phase"):
            assert (getattr(together, name)[row, :count] == getattr(alone, name)[0]).all()
        assert (together.start[row, count:] == together.stop[row, count:]).all()


def with_a_gap() -> Grid:
    """120 bpm in 4/4 from 0 s, without beats between 4 s and 14.25 s: five bars and half a beat."""
    beats = np.concatenate([np.arange(9) * 0.5, 14.25 + np.arange(8) * 0.5])
    return Grid(beats, np.concatenate([np.arange(9) % 4 + 1, np.arange(8) % 4 + 1]), 4)


def test_a_gap_is_filled_with_whole_bars() -> None:
    filled = fill_gaps(with_a_gap())
    # 10.25 s are 20.5 beats of 0.5 s, and positions 1 and 1 are whole bars apart: 20 beats.
    np.testing.assert_allclose(filled.beats[8:29], 4 + np.arange(21) * 10.25 / 20)
    assert filled.positions.tolist() == [*(np.arange(28) % 4 + 1), *(np.arange(8) % 4 + 1)]
    # Seven bars from the first beat to the first beat after the gap.
    assert time_to_bars(with_a_gap(), np.array([14.25, 15.25])) == pytest.approx([7.0, 7.5])


def test_a_grid_without_gaps_is_unchanged() -> None:
    # A slow passage is no gap, nor is a rest of seven beats.
    beats = np.concatenate([np.arange(9) * 0.5, 7.5 + np.arange(9) * 1.0])
    grid = Grid(beats, np.arange(18) % 4 + 1, 4)
    np.testing.assert_allclose(fill_gaps(grid).beats, beats)
    np.testing.assert_array_equal(fill_gaps(grid).positions, grid.positions)


def test_tokens_cover_gaps() -> None:
    tokens = cut_tokens([with_a_gap()], [18.0], 4)
    start, stop = tokens.start[0].numpy(), tokens.stop[0].numpy()
    np.testing.assert_allclose(start[1:], stop[:-1], atol=1e-9)
    assert (start[0], stop[-1]) == (0.0, 18.0)
    assert (stop - start).max() < 0.13
    token_bars = (tokens.bar[0] + tokens.phase[0] / (2 * np.pi)).numpy()
    np.testing.assert_allclose(np.diff(token_bars), 1 / 16, atol=1e-9)


@pytest.mark.parametrize(
    ("confidence", "text"),
    [(0.0, "confidence 0.90, downbeats uncertain (0.00)"), (0.8, "confidence 0.90, downbeats 0.80")],
)
def test_low_downbeat_confidence_is_called_uncertain(confidence: float, text: str) -> None:
    assert confidence_text(0.9, confidence) == text


def test_fallback_grid() -> None:
    grid = fallback_grid(2.2)
    np.testing.assert_allclose(grid.beats, [0, 0.5, 1, 1.5, 2.0])
    assert grid.positions.tolist() == [1, 2, 3, 4, 1]
    assert (grid.metre, grid.confidence, grid.downbeat_confidence, grid.bpm) == (4, 0.0, 0.0, 120.0)
    assert len(fallback_grid(0.01).beats) == 2


@pytest.mark.parametrize(
    ("beats", "positions", "metre", "message"),
    [
        ([0.0], [1], 4, "at least 2 beats"),
        ([0.0, 1.0], [1], 4, "positions of shape"),
        ([0.0, float("nan")], [1, 2], 4, "finite"),
        ([0.0, 1.0, 1.0], [1, 2, 3], 4, "beat 2 at 1.000 s follows beat 1"),
        ([0.0, 1.0], [0, 1], 4, "count from 1"),
        ([0.0, 1.0], [1, 2], 0, "metre must be at least 1"),
    ],
)
def test_invalid_grids_are_refused(
    beats: list[float], positions: list[int], metre: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Grid(np.array(beats), np.array(positions), metre)

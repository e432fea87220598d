"""Grids from simulated pulses of a trained head: at 50 Hz, on beats, with errors and noise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.beat_estimation import estimate_grids
from motionbeat_upstream.tracking.frontend import log_mel, onset_envelope
from motionbeat_upstream.tracking.grid import Grid
from tests.drum_patterns import beat_times, piece

SECONDS = 16.0
DEFAULT_TRUST = 0.8


def pulse(times: NDArray[np.float64], seconds: float = SECONDS, width: float = 0.03) -> Tensor:
    """(1, F) at 50 Hz with a peak of ``width`` seconds at each time."""
    middles = (torch.arange(round(seconds * 50)) + 0.5) / 50
    return torch.exp(-0.5 * ((middles[:, None] - torch.from_numpy(times).float()) / width) ** 2).amax(1)[None]


def spectra(wav: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mel, frames = log_mel(wav[None], torch.tensor([len(wav)]), 96)
    return onset_envelope(mel, frames), mel, frames


def grid_of(wav: Tensor, pulses: Tensor, trust: float = DEFAULT_TRUST) -> Grid:
    onset, mel, frames = spectra(wav)
    (grid,) = estimate_grids(onset, mel, frames, [len(wav) / SAMPLE_RATE], trust=trust, pulses=pulses)
    return grid


def assert_beats(grid: Grid, beats: NDArray[np.float64], within: float) -> None:
    """The beats are those of the grid, except for two at each end."""
    inner = beats[2:-2]
    assert np.abs(inner[:, None] - grid.beats).min(1).max() < within
    between = grid.beats[(grid.beats > inner[0] - 0.1) & (grid.beats < inner[-1] + 0.1)]
    assert len(between) == len(inner)


@pytest.mark.parametrize("late", [-0.06, 0.06])
@pytest.mark.parametrize("bpm", [78.0, 97.0, 121.0, 148.0])
def test_beats_are_at_the_pulses(bpm: float, late: float) -> None:
    beats = beat_times(bpm, SECONDS)
    wav = piece(beats, 4, SECONDS)
    grid = grid_of(wav, pulse(beats + late), trust=1.0)
    assert_beats(grid, beats + late, 0.02)
    onset, mel, frames = spectra(wav)
    (alone,) = estimate_grids(onset, mel, frames, [SECONDS])
    assert_beats(alone, beats, 0.02)


@pytest.mark.parametrize(("metre", "parts", "bpm"), [(4, 2, 110.0), (3, 2, 120.0), (2, 3, 90.0)])
def test_bars_come_from_the_sound(metre: int, parts: int, bpm: float) -> None:
    beats = beat_times(bpm, SECONDS)
    grid = grid_of(piece(beats, metre, SECONDS, parts=parts), pulse(beats))
    assert grid.metre == metre
    inner = grid.downbeats[(grid.downbeats > 1) & (grid.downbeats < SECONDS - 1)]
    assert np.abs(inner[:, None] - beats[::metre]).min(1).max() < 0.02


@given(phase=st.floats(0, 0.02), bpm=st.floats(90, 150))
@settings(max_examples=8, deadline=None)
def test_beat_times_are_interpolated_between_frames(phase: float, bpm: float) -> None:
    beats = beat_times(bpm, SECONDS, first=0.3 + phase)
    grid = grid_of(piece(beats, 4, SECONDS), pulse(beats), trust=1.0)
    # Half a frame of the onset envelope is 5 ms.
    assert_beats(grid, beats, 0.006)


@given(seed=st.integers(0, 999), bpm=st.floats(90, 150))
@settings(max_examples=8, deadline=None)
def test_missing_and_noisy_pulses(seed: int, bpm: float) -> None:
    beats = beat_times(bpm, SECONDS)
    generator = np.random.default_rng(seed)
    remaining = np.sort(generator.permutation(beats)[len(beats) // 6 :])
    noise = 0.2 * torch.from_numpy(generator.random(round(SECONDS * 50))).float()
    grid = grid_of(piece(beats, 4, SECONDS), (0.6 * pulse(remaining) + noise).clamp(0, 1))
    assert_beats(grid, beats, 0.04)


def test_pulses_in_silence_are_ignored() -> None:
    wav = torch.cat([piece(beat_times(100.0, SECONDS), 4, SECONDS), torch.zeros(round(12 * SAMPLE_RATE))])
    seconds = SECONDS + 12
    grid = grid_of(wav, pulse(beat_times(100.0, seconds), seconds))
    assert SECONDS - 1 < grid.beats[-1] < SECONDS + 0.2


def test_tempo_and_confidence_come_from_the_onsets() -> None:
    beats = beat_times(100.0, SECONDS)
    wav = piece(beats, 4, SECONDS)
    onset, mel, frames = spectra(wav)
    (alone,) = estimate_grids(onset, mel, frames, [SECONDS])
    halves = np.sort(np.concatenate([beats, (beats[1:] + beats[:-1]) / 2]))
    for times in (beats, beats[::2], halves):
        grid = grid_of(wav, pulse(times))
        assert grid.bpm == pytest.approx(alone.bpm, rel=0.01)
        assert grid.confidence == alone.confidence


def test_constant_pulses_do_not_change_tempo_and_confidence() -> None:
    wav = piece(beat_times(104.0, SECONDS), 4, SECONDS)
    onset, mel, frames = spectra(wav)
    (alone,) = estimate_grids(onset, mel, frames, [SECONDS])
    grid = grid_of(wav, torch.full((1, round(SECONDS * 50)), 0.3), trust=0.5)
    assert grid.bpm == pytest.approx(alone.bpm, rel=0.01)
    assert grid.confidence == alone.confidence


@given(padding=st.integers(0, 900), bpm=st.floats(60, 180), seconds=st.floats(2, 9), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_padding_has_no_effect(padding: int, bpm: float, seconds: float, seed: int) -> None:
    wav = piece(beat_times(bpm, seconds), 4, seconds)
    onset, mel, frames = spectra(wav)
    generator = torch.Generator().manual_seed(seed)
    pulses = torch.rand(1, int(frames) // 2, generator=generator)
    longer = torch.cat([pulses, torch.rand(1, padding, generator=generator)], 1)
    (alone,) = estimate_grids(onset, mel, frames, [seconds], trust=DEFAULT_TRUST, pulses=pulses)
    (padded,) = estimate_grids(
        F.pad(onset, (0, 2 * padding)),
        F.pad(mel, (0, 0, 0, 2 * padding)),
        frames,
        [seconds],
        trust=DEFAULT_TRUST,
        pulses=longer,
    )
    np.testing.assert_array_equal(alone.beats, padded.beats)
    np.testing.assert_array_equal(alone.positions, padded.positions)
    assert (alone.metre, alone.confidence) == (padded.metre, padded.confidence)


@pytest.mark.parametrize("shape", [(1, 33), (2, 50), (50,)])
def test_pulses_that_do_not_match_are_refused(shape: tuple[int, ...]) -> None:
    arguments = (torch.zeros(1, 100), torch.zeros(1, 100, 8), torch.tensor([100]), [1.0])
    estimate_grids(*arguments, pulses=torch.zeros(1, 50))
    with pytest.raises(ValueError, match=r"pulses of shape .* do not match 1 activations of 100 frames"):
        estimate_grids(*arguments, pulses=torch.zeros(shape))

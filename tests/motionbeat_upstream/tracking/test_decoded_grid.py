from __future__ import annotations

import numpy as np
import pytest
import torch
from mir_eval.beat import f_measure
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.bar_pointer import NO_HINTS, Hints
from motionbeat_upstream.tracking.decoded_grid import BEAT_CALIBRATION, decode_grids
from motionbeat_upstream.tracking.frontend import log_mel
from motionbeat_upstream.tracking.grid import Grid
from tests.clicks_at_tempo import clicks
from tests.frame_activations import MODERATE, SEVERE, Flaws, logits_of, positions_of

Clip = tuple[Tensor, Tensor, Tensor]
"""Sound (T,), and (F,) logits of beats and of downbeats at 50 Hz."""

SECONDS = 16.0


def grids_of(*clips: Clip, hints: Hints = NO_HINTS, extra: int = 0) -> list[Grid]:
    """The grids of a batch, with ``extra`` samples of padding beyond the longest clip."""
    lengths = torch.tensor([len(wav) for wav, _, _ in clips])
    wav = pad_sequence([wav for wav, _, _ in clips], batch_first=True)
    mel, frames = log_mel(torch.nn.functional.pad(wav, (0, extra)), lengths, 96)
    logits = torch.randn(2, len(clips), mel.shape[1] // 2) * 5
    for row, (_, beat, downbeat) in enumerate(clips):
        logits[:, row, : len(beat)] = torch.stack([beat, downbeat])
    durations = (lengths / SAMPLE_RATE).tolist()
    return decode_grids(logits[0], logits[1], None, mel, frames, durations, hints=hints)


def clip(bpm: float, flaws: Flaws = MODERATE, seed: int = 0, seconds: float = SECONDS) -> Clip:
    beats = np.arange(0.2, seconds - 0.06, 60 / bpm)
    logits = logits_of(beats, positions_of(len(beats), 4), seconds, np.random.default_rng(seed), flaws)
    return torch.from_numpy(clicks(bpm, seconds)), *logits


@pytest.mark.parametrize("bpm", [72.0, 97.0, 126.0, 158.0, 190.0])
def test_beats_bars_and_metre(bpm: float) -> None:
    beats = np.arange(0.2, SECONDS - 0.06, 60 / bpm)
    (grid,) = grids_of(clip(bpm, Flaws(noise=1.0, missing=0.1, false=0.1, jitter=0.01)))
    assert grid.metre == 4
    assert grid.bpm == pytest.approx(bpm, rel=0.02)
    assert f_measure(beats, grid.beats) > 0.98
    assert f_measure(beats[::4], grid.downbeats) > 0.95
    assert 0 < grid.downbeat_confidence <= grid.confidence


def test_beat_times_are_interpolated_between_frames() -> None:
    beats = np.arange(0.2, SECONDS - 0.06, 60 / 113)
    (grid,) = grids_of(clip(113.0, Flaws(noise=0.1)))
    assert len(grid.beats) == len(beats)
    assert np.abs(grid.beats - beats).max() < 0.008
    assert abs(np.mean(grid.beats - beats)) < 0.002


def test_confidence_decreases_with_the_evidence() -> None:
    def mean(flaws: Flaws) -> float:
        grids = [grids_of(clip(110.0, flaws, seed))[0] for seed in range(4)]
        return float(np.mean([grid.confidence for grid in grids]))

    assert mean(Flaws()) > mean(SEVERE) + 0.05
    assert BEAT_CALIBRATION.confidence(-1e9, 3) == 0.0
    assert BEAT_CALIBRATION.confidence(np.inf, 3) == 1.0


def test_clips_without_a_pulse_have_the_fallback_grid() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(round(SECONDS * SAMPLE_RATE), generator=generator)
    nothing = -5 + 0.5 * torch.randn(2, round(SECONDS * 50), generator=generator)
    for wav, logits in ((noise, nothing), (noise[:1], nothing[:, :1])):
        (grid,) = grids_of((wav, *logits))
        assert grid.confidence == grid.downbeat_confidence == 0.0


def test_silence_before_the_music_has_no_beats() -> None:
    wav, *logits = clip(104.0)
    before = 20.0
    wav = torch.cat([torch.zeros(round(before * SAMPLE_RATE)), wav])
    beat, downbeat = (torch.cat([torch.full((round(before * 50),), -2.0), x]) for x in logits)
    (grid,) = grids_of((wav, beat, downbeat))
    beats = before + np.arange(0.2, SECONDS - 0.06, 60 / 104)
    assert f_measure(beats, grid.beats, f_measure_threshold=0.07) > 0.98
    assert grid.beats[0] > before - 0.3


def test_grids_do_not_depend_on_the_batch() -> None:
    clips = [clip(90.0, SEVERE, 1, 7.0), clip(133.0, MODERATE, 2, 11.3), clip(170.0, SEVERE, 3, 4.1)]
    for alone, together in zip((grids_of(c)[0] for c in clips), grids_of(*clips, extra=5000), strict=True):
        np.testing.assert_array_equal(alone.beats, together.beats)
        np.testing.assert_array_equal(alone.positions, together.positions)
        assert (alone.metre, alone.confidence) == (together.metre, together.confidence)
        assert alone.downbeat_confidence == together.downbeat_confidence


def test_hints() -> None:
    (grid,) = grids_of(clip(150.0), hints=Hints(60.0, 90.0, (3,)))
    assert grid.bpm == pytest.approx(75.0, rel=0.02)
    assert grid.metre == 3


def test_shapes_that_do_not_match_are_refused() -> None:
    logits, lengths = torch.zeros(1, 50), torch.tensor([101])
    with pytest.raises(ValueError, match="an integer number of frames"):
        decode_grids(logits, logits, None, torch.zeros(1, 101, 96), lengths, [1.01])

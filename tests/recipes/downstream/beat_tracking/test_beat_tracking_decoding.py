from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mir_eval.beat import f_measure
from numpy.typing import NDArray
from torch import Tensor

from motion_data.beats_file import Beats
from recipes.downstream.beat_tracking.decoding import (
    DEFAULT_THRESHOLD,
    THRESHOLDS,
    decode_dbn,
    decode_peaks,
    pick_peaks,
    select_thresholds,
)

RATES = [50.0, 62.5, 100.0]


def activations(
    times: NDArray[np.float64], metre: int, seconds: float, rate: float, noise: float = 0.5, seed: int = 0
) -> Tensor:
    """Logits (T, 2) with a bump of three frames at each beat and downbeat."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(-4, noise, (int(seconds * rate), 2))
    for column, of in ((0, times), (1, times[::metre])):
        frames = np.floor(of * rate).astype(int)
        for shift, height in ((-1, 3.0), (0, 7.0), (1, 3.0)):
            inside = (frames + shift >= 0) & (frames + shift < len(logits))
            logits[frames[inside] + shift, column] += height
    return torch.from_numpy(logits).float()


@settings(deadline=None)
@given(
    times=st.lists(st.floats(0.2, 0.9), min_size=1, max_size=20),
    rate=st.sampled_from(RATES),
    noise=st.integers(0, 99),
)
def test_peaks_are_found_at_the_middle_of_their_frame(times: list[float], rate: float, noise: int) -> None:
    beats = np.cumsum(times)
    found = pick_peaks(activations(beats, 4, beats[-1] + 1, rate, seed=noise)[:, 0], 0.5, rate)
    assert len(found) == len(beats)
    assert np.abs(found - beats).max() <= 0.5 / rate + 1e-6


def test_a_plateau_is_one_peak_and_the_lower_neighbour_none() -> None:
    logits = torch.full((100,), -5.0)
    logits[20:23] = 2.0
    logits[60], logits[62] = 3.0, 2.0  # 40 ms apart
    logits[80] = -1.0  # below the threshold
    np.testing.assert_allclose(pick_peaks(logits, 0.5, 50.0), [21.5 / 50, 60.5 / 50])
    assert len(pick_peaks(torch.empty(0), 0.5, 50.0)) == 0


def test_downbeats_are_beats_and_positions_count_from_them() -> None:
    beats = np.arange(0.5, 9, 0.5)
    logits = activations(beats[1:], 4, 10.0, 50.0)
    logits[:, 1] = -5.0
    logits[[int(t * 50) + 2 for t in beats[3::4]], 1] = 3.0  # 40 ms late
    found = decode_peaks(logits, (0.5, 0.5), 50.0)
    np.testing.assert_allclose(found.times, beats[1:], atol=0.011)
    assert found.positions[:8].tolist() == [0, 0, 1, 2, 3, 4, 1, 2]
    assert set(found.downbeats) <= set(found.times)
    # No downbeat at all, no beat at all.
    assert (decode_peaks(logits, (0.5, 0.999), 50.0).positions == 0).all()
    assert len(decode_peaks(logits, (0.9999, 0.5), 50.0).times) == 0


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("metre", "bpm"), [(4, 120), (3, 97), (2, 70), (4, 178)])
def test_the_dbn_finds_beats_bars_and_metre(rate: float, metre: int, bpm: int) -> None:
    times = np.arange(0.37, 19.5, 60 / bpm)
    found = decode_dbn(activations(times, metre, 20.0, rate), (2, 3, 4), 55.0, 215.0, rate)
    assert found.positions.max() == metre
    assert f_measure(times, found.times) > 0.95
    assert f_measure(times[::metre], found.downbeats) > 0.9
    # In the middle of the frame, whatever the rate.
    near = np.abs(found.times[:, None] - times).argmin(1)
    assert np.abs(np.median(found.times - times[near])) < 0.006


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 1000),
    st.sampled_from([0.01, 1.0, 8.0]),
    st.integers(0, 300),
    st.sampled_from([50.0, 100.0]),
)
def test_any_activation_gives_increasing_beats_within_the_clip(
    seed: int, scale: float, frames: int, rate: float
) -> None:
    logits = torch.randn(frames, 2, generator=torch.Generator().manual_seed(seed)) * scale
    for beats in (
        decode_dbn(logits, (2, 3, 4), 55.0, 215.0, rate),
        decode_peaks(logits, (0.3, 0.3), rate),
    ):
        assert len(beats.times) == len(beats.positions)
        assert (np.diff(beats.times) > 0).all()
        assert ((beats.times >= 0) & (beats.times <= frames / rate)).all()


def test_thresholds_are_those_that_score_best() -> None:
    times = np.arange(0.5, 20, 0.5)
    truth = Beats(times, np.arange(len(times)) % 4 + 1)
    logits = activations(times, 4, 20.5, 50.0, noise=0.3)
    false = np.floor((times + 0.25) * 50).astype(int)
    logits[false, 0] = torch.logit(torch.tensor(0.6))  # a false beat between any two, of probability 0.6
    beat, downbeat = select_thresholds([logits], [truth], 50.0)
    assert 0.6 <= beat < 1
    assert f_measure(times, decode_peaks(logits, (beat, downbeat), 50.0).times) == 1.0
    assert f_measure(truth.downbeats, decode_peaks(logits, (beat, downbeat), 50.0).downbeats) == 1.0
    assert f_measure(times, decode_peaks(logits, (DEFAULT_THRESHOLD, downbeat), 50.0).times) < 0.7


def test_where_dev_cannot_tell_the_threshold_stays() -> None:
    silent = torch.full((500, 2), -20.0)
    truth = Beats(np.arange(0.5, 9, 0.5), np.zeros(17, dtype=np.int64))
    assert select_thresholds([silent], [truth], 50.0) == (DEFAULT_THRESHOLD, DEFAULT_THRESHOLD)
    assert DEFAULT_THRESHOLD in THRESHOLDS

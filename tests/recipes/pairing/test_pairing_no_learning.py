"""The no-learning baseline: onsets against touch-downs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from recipes.pairing.no_learning import (
    EXACT,
    LENIENT,
    TOLERANCES,
    Tolerance,
    onset_contact_similarity,
    pair_correlations,
)

SEEDS = st.integers(0, 10_000)


def smoothed(signal: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    radius = int(4 * deviation + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    return np.convolve(np.pad(signal, radius), kernel / kernel.sum(), "valid")


def oracle(onset: NDArray[np.float64], contact: NDArray[np.float64], tolerance: Tolerance) -> float:
    """The similarity of a single pair, by a loop over lags."""
    music, motion = smoothed(onset, tolerance.smoothing), smoothed(contact, tolerance.smoothing)
    correlations = []
    for lag in range(-tolerance.max_lag, tolerance.max_lag + 1):
        frames = [t for t in range(len(music)) if 0 <= t - lag < len(motion)]
        x, y = music[frames], motion[[t - lag for t in frames]]
        constant = x.std() < 1e-9 or y.std() < 1e-9
        correlations.append(0.0 if constant else float(np.corrcoef(x, y)[0, 1]))
    return max(correlations)


def pulses(rng: np.random.Generator, count: int, size: int) -> tuple[Tensor, Tensor]:
    lengths = rng.integers(20, size + 1, count)
    signals = rng.random((count, size)) * (rng.random((count, size)) < 0.2)
    signals[np.arange(size) >= lengths[:, None]] = 0
    return torch.from_numpy(signals).float(), torch.from_numpy(lengths)


@given(SEEDS, st.sampled_from(TOLERANCES))
@settings(max_examples=20, deadline=None)
def test_equals_the_oracle_for_all_pairs_of_any_lengths(seed: int, tolerance: Tolerance) -> None:
    rng = np.random.default_rng(seed)
    onset, onset_lengths = pulses(rng, 4, 60)
    contact, contact_lengths = pulses(rng, 3, 45)
    contact[0] = 0.0
    table = onset_contact_similarity(onset, contact, onset_lengths, contact_lengths, tolerance)
    for i, music_frames in enumerate(onset_lengths.tolist()):
        for j, motion_frames in enumerate(contact_lengths.tolist()):
            music = onset[i, :music_frames].double().numpy()
            motion = contact[j, :motion_frames].double().numpy()
            assert float(table[i, j]) == pytest.approx(oracle(music, motion, tolerance), abs=1e-5)
    assert not table[:, 0].any()


@given(SEEDS)
def test_paired_similarities_equal_those_of_the_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    onset, onset_lengths = pulses(rng, 3, 60)
    contact, contact_lengths = pulses(rng, 7, 50)
    owner = torch.from_numpy(rng.integers(0, 3, 7))
    table = onset_contact_similarity(onset, contact, onset_lengths, contact_lengths)
    rows = onset_contact_similarity(onset[owner], contact, onset_lengths[owner], contact_lengths, paired=True)
    assert torch.allclose(rows, table[owner, torch.arange(7)], atol=1e-6)


@given(SEEDS, st.sampled_from(TOLERANCES))
@settings(deadline=None)
def test_pair_correlations_equal_single_similarities(seed: int, tolerance: Tolerance) -> None:
    rng = np.random.default_rng(seed)
    onset, lengths = pulses(rng, 3, 60)
    contact, _ = pulses(rng, 8, 60)
    owner = torch.from_numpy(rng.integers(0, 3, 5))
    correlations = pair_correlations(onset, contact, lengths, owner, tolerance)
    for negative, row in enumerate(owner.tolist()):
        music = slice(row, row + 1)
        motion = contact[3 + negative : 4 + negative]
        # A motion is as long as its music.
        expected = onset_contact_similarity(onset[music], motion, lengths[music], lengths[music], tolerance)
        assert torch.allclose(correlations.hard[negative], expected[0, 0], atol=1e-6)
    table = onset_contact_similarity(onset, contact[:3], lengths, lengths, tolerance)
    assert torch.equal(correlations.table, table)
    assert torch.equal(correlations.own, table.diagonal())


@given(SEEDS, st.integers(1, 30))
def test_padding_and_its_content_change_nothing(seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    onset, onset_lengths = pulses(rng, 3, 60)
    contact, contact_lengths = pulses(rng, 3, 60)
    expected = onset_contact_similarity(onset, contact, onset_lengths, contact_lengths)

    def padded(signal: Tensor, lengths: Tensor) -> Tensor:
        wider = torch.cat([signal, torch.zeros(3, frames)], 1)
        return wider.masked_fill(torch.arange(wider.shape[1]) >= lengths[:, None], torch.nan)

    similarity = onset_contact_similarity(
        padded(onset, onset_lengths), padded(contact, contact_lengths), onset_lengths, contact_lengths
    )
    assert torch.allclose(similarity, expected, atol=1e-6)


@given(SEEDS, st.floats(0.1, 20), st.integers(-LENIENT.max_lag, LENIENT.max_lag))
def test_level_and_a_tolerated_lag_do_not_matter(seed: int, level: float, lag: int) -> None:
    rng = np.random.default_rng(seed)
    steps = torch.zeros(1, 400)
    steps[0, rng.choice(np.arange(20, 380), 16, replace=False)] = 1.0
    length = torch.tensor([400])
    delayed = torch.roll(level * steps, lag, 1)
    lenient = float(onset_contact_similarity(delayed, steps, length, length, LENIENT))
    assert lenient == pytest.approx(1, abs=1e-4)
    exact = float(onset_contact_similarity(delayed, steps, length, length, EXACT))
    assert exact == pytest.approx(1, abs=1e-4) if lag == 0 else exact < 0.9


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_the_own_motion_is_distinguished_from_others_and_from_a_copy_shifted_by_a_quarter_beat(
    tolerance: Tolerance,
) -> None:
    rng = np.random.default_rng(0)
    steps = torch.zeros(32, 400)
    for row in range(32):
        frames = np.cumsum(rng.integers(15, 45, 40))
        steps[row, frames[frames < 400]] = 1.0
    onset = steps + 0.3 * torch.from_numpy(rng.random((32, 400))).float()
    lengths = torch.full((32,), 400)
    table = onset_contact_similarity(onset, steps, lengths, lengths, tolerance)
    assert (table.argmax(1) == torch.arange(32)).float().mean() > 0.9
    late = onset_contact_similarity(onset, torch.roll(steps, 8, 1), lengths, lengths, tolerance, paired=True)
    assert (late < table.diagonal() - 0.2).all()


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_clips_of_one_or_two_frames_have_similarity_0(frames: int, tolerance: Tolerance) -> None:
    length = torch.tensor([frames])
    ones = torch.ones(1, frames)
    assert float(onset_contact_similarity(ones, ones, length, length, tolerance)) == 0

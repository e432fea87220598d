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
    FORGIVENESSES,
    LENIENT,
    Forgiveness,
    correlations,
    onset_contact_similarity,
)

SEEDS = st.integers(0, 10_000)


def smoothed(curve: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    reach = np.arange(-int(4 * width + 0.5), int(4 * width + 0.5) + 1)
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    return np.convolve(np.pad(curve, len(reach) // 2), kernel / kernel.sum(), "valid")


def oracle(onset: NDArray[np.float64], contact: NDArray[np.float64], forgiven: Forgiveness) -> float:
    """One pair, one lag after the other."""
    music, motion = smoothed(onset, forgiven.width), smoothed(contact, forgiven.width)
    found = []
    for lag in range(-forgiven.lag, forgiven.lag + 1):
        frames = [t for t in range(len(music)) if 0 <= t - lag < len(motion)]
        heard, seen = music[frames], motion[[t - lag for t in frames]]
        flat = heard.std() < 1e-9 or seen.std() < 1e-9
        found.append(0.0 if flat else float(np.corrcoef(heard, seen)[0, 1]))
    return max(found)


def curves(rng: np.random.Generator, count: int, size: int) -> tuple[Tensor, Tensor]:
    lengths = rng.integers(20, size + 1, count)
    curve = rng.random((count, size)) * (rng.random((count, size)) < 0.2)
    curve[np.arange(size) >= lengths[:, None]] = 0
    return torch.from_numpy(curve).float(), torch.from_numpy(lengths)


@given(SEEDS, st.sampled_from([EXACT, LENIENT]))
@settings(max_examples=20, deadline=None)
def test_equals_the_oracle_for_all_pairs_of_any_lengths(seed: int, forgiven: Forgiveness) -> None:
    rng = np.random.default_rng(seed)
    onset, onset_lengths = curves(rng, 4, 60)
    contact, contact_lengths = curves(rng, 3, 45)
    contact[0] = 0.0
    table = onset_contact_similarity(onset, contact, onset_lengths, contact_lengths, forgiven)
    for i, heard in enumerate(onset_lengths.tolist()):
        for j, seen in enumerate(contact_lengths.tolist()):
            expected = oracle(onset[i, :heard].double().numpy(), contact[j, :seen].double().numpy(), forgiven)
            assert float(table[i, j]) == pytest.approx(expected, abs=1e-5)
    assert not table[:, 0].any()


@given(SEEDS)
def test_pairs_in_rows_are_those_of_the_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    onset, onset_lengths = curves(rng, 3, 60)
    contact, contact_lengths = curves(rng, 7, 50)
    owner = torch.from_numpy(rng.integers(0, 3, 7))
    table = onset_contact_similarity(onset, contact, onset_lengths, contact_lengths)
    rows = onset_contact_similarity(onset[owner], contact, onset_lengths[owner], contact_lengths, paired=True)
    assert torch.allclose(rows, table[owner, torch.arange(7)], atol=1e-6)


@given(SEEDS, st.sampled_from(FORGIVENESSES))
@settings(deadline=None)
def test_tested_pairs_are_compared_as_the_table_has_it(seed: int, forgiven: Forgiveness) -> None:
    rng = np.random.default_rng(seed)
    onset, lengths = curves(rng, 3, 60)
    contact, _ = curves(rng, 8, 60)
    owner = torch.from_numpy(rng.integers(0, 3, 5))
    found = correlations(onset, contact, lengths, owner, forgiven)
    # A motion is as long as its music.
    for row, bent in zip(owner.tolist(), range(3, 8), strict=True):
        one = slice(row, row + 1)
        expected = onset_contact_similarity(
            onset[one], contact[bent : bent + 1], lengths[one], lengths[one], forgiven
        )
        assert torch.allclose(found.hard[bent - 3], expected[0, 0], atol=1e-6)
    table = onset_contact_similarity(onset, contact[:3], lengths, lengths, forgiven)
    assert torch.equal(found.table, table)
    assert torch.equal(found.own, table.diagonal())


@given(SEEDS, st.integers(1, 30))
def test_padding_and_what_lies_in_it_change_nothing(seed: int, more: int) -> None:
    rng = np.random.default_rng(seed)
    onset, onset_lengths = curves(rng, 3, 60)
    contact, contact_lengths = curves(rng, 3, 60)
    plain = onset_contact_similarity(onset, contact, onset_lengths, contact_lengths)
    padded = []
    for curve, lengths in ((onset, onset_lengths), (contact, contact_lengths)):
        wider = torch.cat([curve, torch.zeros(3, more)], 1)
        beyond = torch.arange(wider.shape[1]) >= lengths[:, None]
        padded.append(torch.where(beyond, torch.nan, wider))
    assert torch.allclose(
        onset_contact_similarity(padded[0], padded[1], onset_lengths, contact_lengths), plain, atol=1e-6
    )


@given(SEEDS, st.floats(0.1, 20), st.integers(-LENIENT.lag, LENIENT.lag))
def test_level_and_a_forgiven_lag_do_not_matter(seed: int, level: float, lag: int) -> None:
    rng = np.random.default_rng(seed)
    steps = torch.zeros(1, 400)
    steps[0, rng.choice(np.arange(20, 380), 16, replace=False)] = 1.0
    length = torch.tensor([400])
    moved = torch.roll(level * steps, lag, 1)
    assert float(onset_contact_similarity(moved, steps, length, length, LENIENT)) == pytest.approx(
        1, abs=1e-4
    )
    exact = float(onset_contact_similarity(moved, steps, length, length, EXACT))
    assert exact == pytest.approx(1, abs=1e-4) if lag == 0 else exact < 0.9


@pytest.mark.parametrize("forgiven", [EXACT, LENIENT])
def test_knows_its_own_motion_among_others_and_from_a_copy_moved_by_a_quarter_beat(
    forgiven: Forgiveness,
) -> None:
    rng = np.random.default_rng(0)
    steps = torch.zeros(32, 400)
    for row in range(32):
        frames = np.cumsum(rng.integers(15, 45, 40))
        steps[row, frames[frames < 400]] = 1.0
    onset = steps + 0.3 * torch.from_numpy(rng.random((32, 400))).float()
    lengths = torch.full((32,), 400)
    table = onset_contact_similarity(onset, steps, lengths, lengths, forgiven)
    assert (table.argmax(1) == torch.arange(32)).float().mean() > 0.9
    late = onset_contact_similarity(onset, torch.roll(steps, 8, 1), lengths, lengths, forgiven, paired=True)
    assert (late < table.diagonal() - 0.2).all()


def test_clips_of_a_frame_or_two_have_no_rhythm() -> None:
    for frames in (1, 2):
        length = torch.tensor([frames])
        for forgiven in (EXACT, LENIENT):
            found = onset_contact_similarity(
                torch.ones(1, frames), torch.ones(1, frames), length, length, forgiven
            )
            assert float(found) == 0

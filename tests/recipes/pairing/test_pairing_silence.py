"""Audio that says nothing of the pair."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recipes.pairing.silence import noise, other_audio, silence

SEEDS = st.integers(0, 10_000)


def clips(seed: int, count: int = 6, size: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, size + 1, (count,), generator=generator)
    wav = torch.randn(count, size, generator=generator) * torch.rand(count, 1, generator=generator)
    return wav * (torch.arange(size) < lengths[:, None]), lengths


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_silence_is_silent() -> None:
    wav, lengths = clips(0)
    assert not silence(wav, lengths).any()
    assert silence(wav, lengths).shape == wav.shape


@given(SEEDS)
def test_noise_keeps_nothing_but_loudness_and_length(seed: int) -> None:
    wav, lengths = clips(seed)
    made = noise(wav, lengths, seeded(seed))
    inside = torch.arange(wav.shape[1]) < lengths[:, None]
    assert not made[~inside].any()
    assert torch.allclose(made.square().sum(1), wav.square().sum(1), rtol=1e-4)
    # Other audio of the same loudness and length gives the same noise, so the audio is not in it.
    other, _ = clips(seed + 1)
    other = torch.randn(wav.shape, generator=seeded(seed + 2)) * inside
    other *= (wav.square().sum(1) / other.square().sum(1)).sqrt()[:, None]
    assert torch.allclose(noise(other, lengths, seeded(seed)), made, atol=1e-5)
    assert not torch.equal(noise(wav, lengths, seeded(seed + 1)), made)


def test_noise_of_a_silent_clip_is_silent_and_no_two_clips_hear_the_same() -> None:
    wav = torch.ones(3, 500)
    wav[1] = 0
    made = noise(wav, torch.tensor([500, 500, 500]), seeded(0))
    assert not made[1].any()
    assert abs(float(torch.corrcoef(made[[0, 2]])[0, 1])) < 0.2


@given(SEEDS)
def test_other_audio_is_another_pieces_and_takes_cut_or_looped(seed: int) -> None:
    wav, lengths = clips(seed)
    pieces = torch.randint(0, 3, (6,), generator=seeded(seed))
    takes = torch.randint(0, 4, (6,), generator=seeded(seed + 1))
    # Each clip says its number, and each sample its place.
    place = torch.arange(wav.shape[1])
    inside = place < lengths[:, None]
    said = torch.where(inside, 1000.0 * (torch.arange(6)[:, None] + 1) + place, 0.0)
    heard, found = other_audio(said, lengths, pieces, takes, seeded(seed))
    for row in range(6):
        allowed = [j for j in range(6) if pieces[j] != pieces[row] and takes[j] != takes[row]]
        assert bool(found[row]) == bool(allowed)
        length = int(lengths[row])
        assert not heard[row, length:].any()
        if not allowed:
            assert not heard[row].any()
            continue
        donor = int(heard[row, 0]) // 1000 - 1
        assert donor in allowed
        for sample in range(length):
            assert heard[row, sample] == said[donor, sample % int(lengths[donor])]
    again, _ = other_audio(said, lengths, pieces, takes, seeded(seed))
    assert torch.equal(again, heard)


@given(SEEDS)
def test_a_clips_own_audio_is_not_in_what_it_hears(seed: int) -> None:
    wav, lengths = clips(seed)
    pieces, takes = torch.arange(6), torch.arange(6)
    heard, _ = other_audio(wav, lengths, pieces, takes, seeded(seed))
    changed = wav.clone()
    changed[2] = 7.0
    heard_then, _ = other_audio(changed, lengths, pieces, takes, seeded(seed))
    assert torch.equal(heard_then[2], heard[2])


def test_a_batch_of_one_piece_has_no_other_audio() -> None:
    wav, lengths = clips(3)
    heard, found = other_audio(wav, lengths, torch.zeros(6), torch.arange(6))
    assert not found.any()
    assert not heard.any()


@pytest.mark.parametrize("count", [1, 2])
def test_half_precision_stays_what_it_is(count: int) -> None:
    wav, lengths = clips(1, count)
    assert noise(wav.bfloat16(), lengths).dtype == torch.bfloat16
    assert other_audio(wav.bfloat16(), lengths, torch.arange(count), torch.arange(count))[0].dtype == (
        torch.bfloat16
    )

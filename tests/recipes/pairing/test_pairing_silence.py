"""Replacements for the audio of pairs."""

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
def test_noise_keeps_only_loudness_and_length(seed: int) -> None:
    wav, lengths = clips(seed)
    noisy = noise(wav, lengths, seeded(seed))
    inside = torch.arange(wav.shape[1]) < lengths[:, None]
    assert not noisy[~inside].any()
    assert torch.allclose(noisy.square().sum(1), wav.square().sum(1), rtol=1e-4)
    # Other audio of the same loudness and length gives the same noise.
    other = torch.randn(wav.shape, generator=seeded(seed + 2)) * inside
    other *= (wav.square().sum(1) / other.square().sum(1)).sqrt()[:, None]
    assert torch.allclose(noise(other, lengths, seeded(seed)), noisy, atol=1e-5)
    assert not torch.equal(noise(wav, lengths, seeded(seed + 1)), noisy)


def test_noise_of_a_silent_clip_is_silent_and_clips_have_different_noise() -> None:
    wav = torch.ones(3, 500)
    wav[1] = 0
    noisy = noise(wav, torch.tensor([500, 500, 500]), seeded(0))
    assert not noisy[1].any()
    assert abs(float(torch.corrcoef(noisy[[0, 2]])[0, 1])) < 0.2


@given(SEEDS)
def test_other_audio_is_of_another_piece_and_take_and_cut_or_looped(seed: int) -> None:
    wav, lengths = clips(seed)
    pieces = torch.randint(0, 3, (6,), generator=seeded(seed))
    takes = torch.randint(0, 4, (6,), generator=seeded(seed + 1))
    # Each value encodes the number of its clip and its sample.
    sample = torch.arange(wav.shape[1])
    inside = sample < lengths[:, None]
    coded = torch.where(inside, 1000.0 * (torch.arange(6)[:, None] + 1) + sample, 0.0)
    other, has_donor = other_audio(coded, lengths, pieces, takes, seeded(seed))
    for row in range(6):
        allowed = [j for j in range(6) if pieces[j] != pieces[row] and takes[j] != takes[row]]
        assert bool(has_donor[row]) == bool(allowed)
        length = int(lengths[row])
        assert not other[row, length:].any()
        if not allowed:
            assert not other[row].any()
            continue
        donor = int(other[row, 0]) // 1000 - 1
        assert donor in allowed
        for k in range(length):
            assert other[row, k] == coded[donor, k % int(lengths[donor])]
    again, _ = other_audio(coded, lengths, pieces, takes, seeded(seed))
    assert torch.equal(again, other)


@given(SEEDS)
def test_the_own_audio_of_a_clip_is_not_used(seed: int) -> None:
    wav, lengths = clips(seed)
    pieces, takes = torch.arange(6), torch.arange(6)
    other, _ = other_audio(wav, lengths, pieces, takes, seeded(seed))
    changed = wav.clone()
    changed[2] = 7.0
    other_of_changed, _ = other_audio(changed, lengths, pieces, takes, seeded(seed))
    assert torch.equal(other_of_changed[2], other[2])


def test_a_batch_of_one_piece_has_no_other_audio() -> None:
    wav, lengths = clips(3)
    other, has_donor = other_audio(wav, lengths, torch.zeros(6), torch.arange(6))
    assert not has_donor.any()
    assert not other.any()


@pytest.mark.parametrize("count", [1, 2])
def test_half_precision_is_kept(count: int) -> None:
    wav, lengths = clips(1, count)
    numbers = torch.arange(count)
    assert noise(wav.bfloat16(), lengths).dtype == torch.bfloat16
    assert other_audio(wav.bfloat16(), lengths, numbers, numbers)[0].dtype == torch.bfloat16

"""Properties of the phase rotation and the token layers, for random inputs in float64."""

import math
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.nn import token_encoder
from motionbeat_upstream.nn.phase_rotation import PhaseRotation, Rotation
from motionbeat_upstream.nn.token_encoder import TokenEncoder

angles = st.floats(-50, 50, allow_nan=False)
harmonics = st.lists(st.integers(0, 16), min_size=1, max_size=8)
seeds = st.integers(0, 2**32 - 1)


def bar_rotation(harmonic: list[int], phase: float) -> Rotation:
    return PhaseRotation(len(harmonic), harmonic).bar_rotation(torch.tensor([phase], dtype=torch.float64))


def vectors(pairs: int, seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 2 * pairs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(harmonics, angles, angles, seeds)
def test_angles_of_composed_rotations_add(harmonic: list[int], a: float, b: float, seed: int) -> None:
    x = vectors(len(harmonic), seed)
    sequential = bar_rotation(harmonic, a).apply(bar_rotation(harmonic, b).apply(x))
    torch.testing.assert_close(sequential, bar_rotation(harmonic, a + b).apply(x), rtol=0, atol=1e-11)
    composed = bar_rotation(harmonic, b).then(bar_rotation(harmonic, a))
    torch.testing.assert_close(composed.apply(x), sequential, rtol=0, atol=1e-11)


@given(harmonics, angles)
def test_rotation_is_orthogonal(harmonic: list[int], a: float) -> None:
    matrix = bar_rotation(harmonic, a).apply(torch.eye(2 * len(harmonic), dtype=torch.float64)[:, None])[:, 0]
    torch.testing.assert_close(
        matrix @ matrix.T, torch.eye(2 * len(harmonic), dtype=torch.float64), rtol=0, atol=1e-12
    )


@given(harmonics, angles, seeds)
def test_inverse(harmonic: list[int], a: float, seed: int) -> None:
    x, rotation = vectors(len(harmonic), seed), bar_rotation(harmonic, a)
    torch.testing.assert_close(rotation.inverse().apply(rotation.apply(x)), x, rtol=0, atol=1e-12)


@given(harmonics, angles, st.integers(-8, 8), seeds)
def test_a_whole_bar_is_the_identity(harmonic: list[int], a: float, bars: int, seed: int) -> None:
    x = vectors(len(harmonic), seed)
    rolled = bar_rotation(harmonic, a + 2 * math.pi * bars).apply(x)
    torch.testing.assert_close(rolled, bar_rotation(harmonic, a).apply(x), rtol=0, atol=1e-11)


def test_each_pair_rotates_by_its_harmonic() -> None:
    x = torch.tensor([[[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]]], dtype=torch.float64)
    quarter = bar_rotation([0, 1, 2], math.pi / 2).apply(x)
    expected = torch.tensor([[[1.0, 0.0, 0.0, 1.0, -1.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(quarter, expected, rtol=0, atol=1e-12)


@given(st.integers(0, 100_000), st.floats(0, 6.28))
def test_hypermetre_has_its_period_in_bars(bar: int, phase: float) -> None:
    rotation = PhaseRotation(2, [0], [2, 16])
    theta = torch.tensor([phase], dtype=torch.float64)

    def angles_at(index: int) -> torch.Tensor:
        position = rotation.position_rotation(theta, torch.tensor([index]))
        return torch.stack([position.cos, position.sin])

    torch.testing.assert_close(angles_at(bar), angles_at(bar + 16), rtol=0, atol=1e-11)
    assert not torch.allclose(angles_at(bar), angles_at(bar + 1), atol=1e-2)


def encoder(seed: int) -> TokenEncoder:
    torch.manual_seed(seed)
    return TokenEncoder(MusicTowerConfig(dim=32, heads=2, token_layers=2)).double().eval()


def tokens_of(bars: int, per_bar: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, bars * per_bar, 32, dtype=torch.float64, generator=generator)
    index = torch.arange(bars * per_bar).expand(2, -1)
    phase = (index % per_bar + 0.5).double() / per_bar * 2 * math.pi
    return x, phase, index // per_bar


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([8, 12, 16]), st.floats(-10, 10))
def test_an_offset_of_every_phase_has_no_effect(seed: int, per_bar: int, offset: float) -> None:
    layers = encoder(seed % 5)
    x, phase, bar = tokens_of(5, per_bar, seed)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    mask[1, -7:] = False
    for plain, shifted in zip(layers(x, phase, bar, mask), layers(x, phase + offset, bar, mask), strict=True):
        torch.testing.assert_close(shifted, plain, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([8, 12, 16]), st.integers(1, 15))
def test_rolling_a_loop_by_whole_bars_rolls_the_tokens(seed: int, per_bar: int, bars: int) -> None:
    layers = encoder(seed % 5)
    x, phase, bar = tokens_of(16, per_bar, seed)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    plain = layers(x, phase, bar, mask)[-1]
    rolled = layers(x.roll(bars * per_bar, 1), phase, bar, mask)[-1]
    torch.testing.assert_close(rolled, plain.roll(bars * per_bar, 1), rtol=0, atol=1e-9)
    torch.testing.assert_close(rolled.mean(1), plain.mean(1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shift", [1, 5, 8])
def test_outputs_depend_on_shifts_of_a_part_within_the_bar(shift: int) -> None:
    layers = encoder(0)
    x, phase, bar = tokens_of(16, 16, 0)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    moved = torch.cat([x[..., :16].roll(shift, 1), x[..., 16:]], -1)
    plain, other = layers(x, phase, bar, mask)[-1], layers(moved, phase, bar, mask)[-1]
    assert (other.mean(1) - plain.mean(1)).abs().max() > 1e-3


def test_outputs_depend_on_the_order_of_bars() -> None:
    layers = encoder(0)
    x, phase, bar = tokens_of(8, 16, 0)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    swapped = x.view(2, 8, 16, 32)[:, [1, 0, 2, 3, 4, 5, 6, 7]].flatten(1, 2)
    plain, other = layers(x, phase, bar, mask)[-1], layers(swapped, phase, bar, mask)[-1]
    assert (plain.mean(1) - other.mean(1)).abs().max() > 1e-3


def test_a_token_attends_to_its_block_and_its_context() -> None:
    torch.manual_seed(0)
    layers = TokenEncoder(MusicTowerConfig(dim=32, heads=2, token_layers=1)).double().eval()
    x, phase, bar = tokens_of(4, 16, 0)
    x.requires_grad_()
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    with patch.object(token_encoder, "BLOCK", 16), patch.object(token_encoder, "CONTEXT", 4):
        layers(x, phase, bar, mask)[-1][0, 20].sum().backward()
    assert x.grad is not None
    assert x.grad[0].abs().sum(1).nonzero()[:, 0].tolist() == list(range(12, 36))

"""The motion tower: invariance to padding, translation, heading and phase; contact guidance."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionbeat_upstream.config import FRAME_RATE, TRUNKS, MotionTowerConfig
from motionbeat_upstream.nn.contact_guidance import ContactGuide
from motionbeat_upstream.nn.motion_frames import CHANNELS, motion_frames
from motionbeat_upstream.nn.motion_tower import MotionTower
from motionbeat_upstream.nn.token_encoder import TokenEncoder
from motionbeat_upstream.tracking.grid import Grid, regular_grid

SMALL = MotionTowerConfig(
    arch="small", dim=32, heads=2, token_layers=2, trunk_dilations=(1, 4), embedding_dim=8
)


def random_batch(lengths: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Grid]]:
    draw = torch.Generator().manual_seed(seed)
    size = max(lengths)
    walk = torch.randn(len(lengths), size, 22, 3, generator=draw, dtype=torch.float64).cumsum(1) * 0.02
    joints = walk + torch.randn(len(lengths), 1, 22, 3, generator=draw, dtype=torch.float64)
    pulses = (torch.rand(len(lengths), size, 2, generator=draw) < 0.1).double()
    grids = [regular_grid(n / FRAME_RATE, 90.0 + 10 * row, 3 + row % 2) for row, n in enumerate(lengths)]
    return joints, pulses, torch.ones(len(lengths), dtype=torch.bool), torch.tensor(lengths), grids


def random_tower(seed: int = 0, config: MotionTowerConfig = SMALL) -> MotionTower:
    torch.manual_seed(seed)
    return MotionTower(config).double().eval()


@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.integers(1, 120), min_size=2, max_size=4),
    st.integers(0, 100),
    st.sampled_from(sorted(TRUNKS)),
)
def test_features_do_not_depend_on_the_batch(lengths: list[int], seed: int, trunk: str) -> None:
    tower, batch = random_tower(config=replace(SMALL, trunk=trunk)), random_batch(lengths, seed)
    junk = [x.clone() for x in batch[:2]]
    for row, length in enumerate(lengths):
        junk[0][row, length:], junk[1][row, length:] = 1e3, 1.0
    together = tower(*junk, *batch[2:])
    for row, length in enumerate(lengths):
        alone = tower(*(x[row : row + 1, :length] for x in batch[:2]), *(x[row : row + 1] for x in batch[2:]))
        # The weights of frames in tokens are float32.
        assert torch.allclose(together.embedding[row], alone.embedding[0], atol=1e-6)
        assert torch.allclose(together.frames[row, :length], alone.frames[0], atol=1e-10)
        assert not together.frames[row, length:].any()


@settings(deadline=None, max_examples=8)
@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-4, 4), st.integers(0, 100))
def test_channels_are_invariant_to_translation_and_heading(
    x: float, z: float, angle: float, seed: int
) -> None:
    joints, pulses, has_joints, _, _ = random_batch([30], seed)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float64)
    moved = joints @ turn.T + torch.tensor([x, 0, z], dtype=torch.float64)
    channels = motion_frames(joints, pulses, has_joints, FRAME_RATE)
    assert channels.shape == (1, 30, CHANNELS)
    assert torch.allclose(channels, motion_frames(moved, pulses, has_joints, FRAME_RATE), atol=1e-9)


@settings(deadline=None, max_examples=8)
@given(st.floats(-7, 7), st.integers(0, 100))
def test_an_offset_of_all_phases_has_no_effect(delta: float, seed: int) -> None:
    torch.manual_seed(seed)
    encoder = TokenEncoder(SMALL, contact_harmonics=3).double().eval()
    x, phase = torch.randn(2, 17, 32).double(), torch.rand(2, 17).double() * 2 * math.pi
    bar, mask = torch.arange(17).expand(2, -1) // 4, torch.ones(2, 17, dtype=torch.bool)
    contact = torch.rand(2, 17).double()
    plain = encoder(x, phase, bar, mask, contact)[-1]
    assert torch.allclose(plain, encoder(x, phase + delta, bar, mask, contact)[-1], atol=1e-8)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 3), st.integers(0, 100))
def test_rolling_a_loop_by_whole_bars_does_not_change_the_embedding(bars: int, seed: int) -> None:
    torch.manual_seed(seed)
    encoder = TokenEncoder(SMALL, contact_harmonics=3).double().eval()
    x, contact = torch.randn(1, 64, 32).double(), torch.rand(1, 64).double()
    bars_of_tokens = torch.arange(64).double() / 4
    phase, bar = (bars_of_tokens % 1)[None] * 2 * math.pi, bars_of_tokens.long()[None]
    mask = torch.ones(1, 64, dtype=torch.bool)
    # Sixteen bars are a multiple of every period of the hypermetre.
    rolled = encoder(x.roll(4 * bars, 1), phase, bar, mask, contact.roll(4 * bars, 1))[-1]
    assert torch.allclose(encoder(x, phase, bar, mask, contact)[-1].mean(1), rolled.mean(1), atol=1e-8)


class TestContactGuide:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 5), st.integers(0, 1000))
    def test_the_added_dimensions_give_the_formula(self, harmonics: int, seed: int) -> None:
        torch.manual_seed(seed)
        guide = ContactGuide(3, harmonics).double()
        phase, contact = torch.rand(2, 7).double() * 7, torch.rand(2, 7).double()
        dimensions = guide(phase, contact)
        logits = dimensions.query @ dimensions.key.transpose(-1, -2)
        # The squared modulus of the polynomial, for every pair of tokens.
        polynomial = torch.complex(guide.real, guide.imaginary)
        difference = phase[:, None, :] - phase[:, :, None]
        waves = torch.exp(1j * difference[..., None] * torch.arange(harmonics + 1))
        a = (waves @ polynomial.T).abs().square() / polynomial.abs().square().sum(1)
        expected = (guide.gain * a).permute(0, 3, 1, 2) * contact[:, None, None, :]
        assert torch.allclose(logits, expected, atol=1e-10)
        assert (logits > -1e-10).all()

    def test_a_gain_of_zero_is_no_guidance(self) -> None:
        guided, plain = random_tower(), random_tower(config=SMALL)
        plain.encoder.guides = torch.nn.ModuleList()
        for guide in guided.encoder.guides:
            assert isinstance(guide, ContactGuide)
            torch.nn.init.constant_(guide.raw_gain, -math.inf)
        batch = random_batch([80, 50])
        assert torch.allclose(guided(*batch).embedding, _unguided(plain, batch), rtol=0, atol=1e-12)

    def test_a_positive_gain_changes_the_embedding(self) -> None:
        tower, batch = random_tower(), random_batch([80, 50])
        for guide in tower.encoder.guides:
            assert isinstance(guide, ContactGuide)
            torch.nn.init.constant_(guide.raw_gain, 3.0)
        guided = tower(*batch).embedding
        assert not torch.allclose(guided, _unguided(tower, batch), atol=1e-4)

    def test_every_parameter_has_a_gradient(self) -> None:
        tower = random_tower()
        tower(*random_batch([80, 50])).embedding.square().sum().backward()
        assert [name for name, p in tower.named_parameters() if p.grad is None or not p.grad.any()] == []


def _unguided(tower: MotionTower, batch: tuple[Tensor, Tensor, Tensor, Tensor, list[Grid]]) -> Tensor:
    encoder = tower.encoder.forward

    def without(x: Tensor, phase: Tensor, bar: Tensor, mask: Tensor, contact: Tensor) -> list[Tensor]:
        return encoder(x, phase, bar, mask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tower.encoder, "forward", without)
        embedding: Tensor = tower(*batch).embedding
    return embedding


def test_without_joints_only_pulses_have_an_effect() -> None:
    tower, (joints, pulses, _, lengths, grids) = random_tower(), random_batch([60, 60])
    no_joints = torch.zeros(2, dtype=torch.bool)
    first = tower(joints, pulses, no_joints, lengths, grids)
    assert torch.equal(first.embedding, tower(joints * 3 + 1, pulses, no_joints, lengths, grids).embedding)
    assert torch.equal(
        first.embedding, tower(joints * torch.nan, pulses, no_joints, lengths, grids).embedding
    )
    other = tower(joints, pulses.roll(3, 1), no_joints, lengths, grids)
    assert not torch.allclose(first.embedding, other.embedding)


def test_the_contact_of_a_token_is_its_maximum_pulse() -> None:
    joints, pulses, has_joints, lengths, grids = random_batch([100])
    pulses = torch.zeros_like(pulses)
    pulses[0, 33, 1] = 0.7
    features = random_tower()(joints, pulses, has_joints, lengths, grids)
    inside = (features.tokens.start[0] < 34 / FRAME_RATE) & (features.tokens.stop[0] > 33 / FRAME_RATE)
    assert (features.contact[0, inside] == 0.7).all()
    assert not features.contact[0, ~inside].any()

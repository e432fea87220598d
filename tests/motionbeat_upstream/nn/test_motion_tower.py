"""The motion tower: padding, place and phase do not matter; contacts do, and only through the guide."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionbeat_upstream.config import TRUNKS, MotionTowerConfig
from motionbeat_upstream.nn.contact_guidance import ContactGuide
from motionbeat_upstream.nn.motion_frames import CHANNELS, motion_frames
from motionbeat_upstream.nn.motion_tower import RATE, MotionTower
from motionbeat_upstream.nn.token_encoder import TokenEncoder
from motionbeat_upstream.tracking.grid import Grid, regular_grid

SMALL = MotionTowerConfig(
    arch="small", dim=32, heads=2, token_layers=2, trunk_dilations=(1, 4), embedding_dim=8
)


def made_batch(lengths: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Grid]]:
    draw = torch.Generator().manual_seed(seed)
    size = max(lengths)
    walk = torch.randn(len(lengths), size, 22, 3, generator=draw, dtype=torch.float64).cumsum(1) * 0.02
    joints = walk + torch.randn(len(lengths), 1, 22, 3, generator=draw, dtype=torch.float64)
    pulses = (torch.rand(len(lengths), size, 2, generator=draw) < 0.1).double()
    grids = [regular_grid(n / RATE, 90.0 + 10 * row, 3 + row % 2) for row, n in enumerate(lengths)]
    return joints, pulses, torch.ones(len(lengths), dtype=torch.bool), torch.tensor(lengths), grids


def made_tower(seed: int = 0, config: MotionTowerConfig = SMALL) -> MotionTower:
    torch.manual_seed(seed)
    return MotionTower(config).double().eval()


@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.integers(1, 120), min_size=2, max_size=4),
    st.integers(0, 100),
    st.sampled_from(sorted(TRUNKS)),
)
def test_a_motion_is_the_same_alone_and_in_any_batch(lengths: list[int], seed: int, trunk: str) -> None:
    tower, batch = made_tower(config=replace(SMALL, trunk=trunk)), made_batch(lengths, seed)
    junk = [x.clone() for x in batch[:2]]
    for row, length in enumerate(lengths):
        junk[0][row, length:], junk[1][row, length:] = 1e3, 1.0
    together = tower(*junk, *batch[2:])
    for row, length in enumerate(lengths):
        alone = tower(*(x[row : row + 1, :length] for x in batch[:2]), *(x[row : row + 1] for x in batch[2:]))
        # The shares of frames in tokens are kept in float32.
        assert torch.allclose(together.embedding[row], alone.embedding[0], atol=1e-6)
        assert torch.allclose(together.frames[row, :length], alone.frames[0], atol=1e-10)
        assert not together.frames[row, length:].any()


@settings(deadline=None, max_examples=8)
@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-4, 4), st.integers(0, 100))
def test_place_and_heading_do_not_matter(x: float, z: float, angle: float, seed: int) -> None:
    joints, pulses, there, _, _ = made_batch([30], seed)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float64)
    moved = joints @ turn.T + torch.tensor([x, 0, z], dtype=torch.float64)
    seen = motion_frames(joints, pulses, there, RATE)
    assert seen.shape == (1, 30, CHANNELS)
    assert torch.allclose(seen, motion_frames(moved, pulses, there, RATE), atol=1e-9)


@settings(deadline=None, max_examples=8)
@given(st.floats(-7, 7), st.integers(0, 100))
def test_one_phase_added_to_all_changes_nothing(delta: float, seed: int) -> None:
    torch.manual_seed(seed)
    encoder = TokenEncoder(SMALL, contact_harmonics=3).double().eval()
    x, phase = torch.randn(2, 17, 32).double(), torch.rand(2, 17).double() * 2 * math.pi
    bar, mask = torch.arange(17).expand(2, -1) // 4, torch.ones(2, 17, dtype=torch.bool)
    contact = torch.rand(2, 17).double()
    plain = encoder(x, phase, bar, mask, contact)[-1]
    assert torch.allclose(plain, encoder(x, phase + delta, bar, mask, contact)[-1], atol=1e-8)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 3), st.integers(0, 100))
def test_rolling_a_loop_by_whole_bars_keeps_its_embedding(bars: int, seed: int) -> None:
    torch.manual_seed(seed)
    encoder = TokenEncoder(SMALL, contact_harmonics=3).double().eval()
    x, contact = torch.randn(1, 64, 32).double(), torch.rand(1, 64).double()
    turns = torch.arange(64).double() / 4
    phase, bar = (turns % 1)[None] * 2 * math.pi, turns.long()[None]
    mask = torch.ones(1, 64, dtype=torch.bool)
    # Sixteen bars are a whole turn of every period of the hypermetre.
    rolled = encoder(x.roll(4 * bars, 1), phase, bar, mask, contact.roll(4 * bars, 1))[-1]
    assert torch.allclose(encoder(x, phase, bar, mask, contact)[-1].mean(1), rolled.mean(1), atol=1e-8)


class TestContactGuide:
    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 5), st.integers(0, 1000))
    def test_its_dimensions_are_the_formula(self, harmonics: int, seed: int) -> None:
        torch.manual_seed(seed)
        guide = ContactGuide(3, harmonics).double()
        phase, contact = torch.rand(2, 7).double() * 7, torch.rand(2, 7).double()
        made = guide(phase, contact)
        logits = made.query @ made.key.transpose(-1, -2)
        # The squared modulus itself, over every pair of tokens.
        polynomial = torch.complex(guide.real, guide.imaginary)
        difference = phase[:, None, :] - phase[:, :, None]
        waves = torch.exp(1j * difference[..., None] * torch.arange(harmonics + 1))
        a = (waves @ polynomial.T).abs().square() / polynomial.abs().square().sum(1)
        expected = (guide.gain * a).permute(0, 3, 1, 2) * contact[:, None, None, :]
        assert torch.allclose(logits, expected, atol=1e-10)
        assert (logits > -1e-10).all()

    def test_without_gain_the_attention_is_plain(self) -> None:
        guided, plain = made_tower(), made_tower(config=SMALL)
        plain.encoder.guides = torch.nn.ModuleList()
        for guide in guided.encoder.guides:
            assert isinstance(guide, ContactGuide)
            torch.nn.init.constant_(guide.raw_gain, -math.inf)
        batch = made_batch([80, 50])
        assert torch.allclose(guided(*batch).embedding, _unguided(plain, batch), rtol=0, atol=1e-12)

    def test_with_gain_contacts_draw_attention(self) -> None:
        tower, batch = made_tower(), made_batch([80, 50])
        for guide in tower.encoder.guides:
            assert isinstance(guide, ContactGuide)
            torch.nn.init.constant_(guide.raw_gain, 3.0)
        drawn = tower(*batch).embedding
        assert not torch.allclose(drawn, _unguided(tower, batch), atol=1e-4)

    def test_everything_learns(self) -> None:
        tower = made_tower()
        tower(*made_batch([80, 50])).embedding.square().sum().backward()
        assert [name for name, p in tower.named_parameters() if p.grad is None or not p.grad.any()] == []


def _unguided(tower: MotionTower, batch: tuple[Tensor, Tensor, Tensor, Tensor, list[Grid]]) -> Tensor:
    encoder = tower.encoder.forward

    def without(x: Tensor, phase: Tensor, bar: Tensor, mask: Tensor, contact: Tensor) -> list[Tensor]:
        return encoder(x, phase, bar, mask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tower.encoder, "forward", without)
        embedding: Tensor = tower(*batch).embedding
    return embedding


def test_without_joints_only_pulses_count() -> None:
    tower, (joints, pulses, _, lengths, grids) = made_tower(), made_batch([60, 60])
    nothing = torch.zeros(2, dtype=torch.bool)
    first = tower(joints, pulses, nothing, lengths, grids)
    assert torch.equal(first.embedding, tower(joints * 3 + 1, pulses, nothing, lengths, grids).embedding)
    assert torch.equal(first.embedding, tower(joints * torch.nan, pulses, nothing, lengths, grids).embedding)
    other = tower(joints, pulses.roll(3, 1), nothing, lengths, grids)
    assert not torch.allclose(first.embedding, other.embedding)


def test_the_strongest_pulse_of_a_token_is_its_contact() -> None:
    joints, pulses, there, lengths, grids = made_batch([100])
    pulses = torch.zeros_like(pulses)
    pulses[0, 33, 1] = 0.7
    said = made_tower()(joints, pulses, there, lengths, grids)
    inside = (said.tokens.start[0] < 34 / RATE) & (said.tokens.stop[0] > 33 / RATE)
    assert (said.contact[0, inside] == 0.7).all()
    assert not said.contact[0, ~inside].any()

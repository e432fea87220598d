"""Targets of the beat heads follow the grid; the losses ignore padding and unknown beats."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motion_data.pipeline.beat_targets import beat_targets
from motionbeat_upstream.nn.music_tower import BeatHeads
from motionbeat_upstream.tracking.grid import METRES, Grid, regular_grid
from motionbeat_upstream.tracking.tempo import MAX_BPM, MIN_BPM, TEMPO_CLASSES, tempo_class
from recipes.pretrain.criterion.augmentation import AugmentationSettings, augment
from recipes.pretrain.criterion.beat_losses import BeatHeadSettings, beat_head_losses, tempo_loss

LOSSES: tuple[Literal["widened", "shift_tolerant"], ...] = ("widened", "shift_tolerant")


@settings(deadline=None, max_examples=50)
@given(st.floats(50, 215), st.sampled_from(METRES), st.floats(0, 3), st.integers(60, 700))
def test_targets_match_the_grid(bpm: float, metre: int, first: float, frames: int) -> None:
    grid = regular_grid(frames / 50, bpm, metre, first)
    targets = beat_targets([grid], [frames])
    inside = grid.beats[(grid.beats >= 0) & (grid.beats < frames / 50)]
    assert torch.nonzero(targets.beat[0])[:, 0].tolist() == np.floor(inside * 50).astype(int).tolist()
    assert bool((targets.downbeat <= targets.beat).all())
    assert targets.metre.tolist() == [metre]
    known = targets.tempo[0] > 0
    assert torch.allclose(targets.tempo[0][known], torch.tensor(bpm, dtype=torch.float32), rtol=1e-4)
    # The position goes up by one at each beat, and back to 1 at the downbeat.
    position = targets.position[0]
    change = torch.nonzero((position[1:] != position[:-1]) & (position[:-1] > 0))[:, 0] + 1
    assert bool(((position[change] - position[change - 1]) % metre == 1 % metre).all())


def test_unknown_beats_and_bars_have_no_gradient() -> None:
    torch.manual_seed(0)
    grid = regular_grid(4.0, 120.0, 4)
    unknown_bars = replace(grid, downbeat_confidence=0.0)
    uncertain = replace(grid, confidence=0.5, downbeat_confidence=0.4)
    targets = beat_targets([grid, unknown_bars, None, uncertain], [200] * 4)
    assert targets.has_beats.tolist() == [True, True, False, False]
    assert targets.has_bars.tolist() == [True, False, False, False]
    features = torch.randn(4, 200, 8)
    heads = BeatHeads(8)
    mask = torch.ones(4, 200, dtype=torch.bool)
    for kind in LOSSES:
        head_settings = BeatHeadSettings(loss=kind)

        def gradient_by_clip(head_settings: BeatHeadSettings = head_settings) -> Tensor:
            x = features.clone().requires_grad_()
            beat_head_losses(heads(x), targets, mask, head_settings)[0].backward()
            assert x.grad is not None
            return x.grad.abs().sum((1, 2))

        assert (gradient_by_clip() > 0).tolist() == [True, True, False, False]
        only_bars = replace(head_settings, beat=0.0, tempo=0.0)
        assert (gradient_by_clip(only_bars) > 0).tolist() == [True, False, False, False]


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_ignore_padding(kind: Literal["widened", "shift_tolerant"]) -> None:
    torch.manual_seed(0)
    heads, head_settings = BeatHeads(8), BeatHeadSettings(loss=kind)
    alone = regular_grid(3.0, 120.0, 3, 0.2)
    features = torch.randn(1, 150, 8)
    padded = torch.cat([features, torch.full((1, 70, 8), 9.0)], 1)
    short = beat_head_losses(
        heads(features), beat_targets([alone], [150]), torch.ones(1, 150).bool(), head_settings
    )
    both = beat_targets([alone, None], [150, 220])
    mask = torch.arange(220) < torch.tensor([[150], [220]])
    longer = beat_head_losses(heads(torch.cat([padded, padded])), both, mask, head_settings)
    for name, value in short[1].items():
        assert torch.allclose(value, longer[1][name], atol=1e-5), name


@pytest.mark.parametrize("kind", LOSSES)
def test_the_reference_has_the_lowest_loss(kind: Literal["widened", "shift_tolerant"]) -> None:
    grid = regular_grid(6.0, 110.0, 4, 0.3)
    targets = beat_targets([grid], [300])
    mask = torch.ones(1, 300).bool()
    rng = np.random.default_rng(0)

    def cost(other: Grid) -> float:
        own = beat_targets([other], [300])
        logits = BeatHeads(4)(torch.zeros(1, 300, 4))
        logits = replace(
            logits,
            beat=8 * own.beat - 4,
            downbeat=8 * own.downbeat - 4,
            position=8.0 * torch.nn.functional.one_hot((own.position - 1).clamp(min=0), 7),
        )
        return float(beat_head_losses(logits, targets, mask, BeatHeadSettings(loss=kind))[0])

    right = cost(grid)
    for _ in range(10):
        shift = float(rng.uniform(0.15, 0.4))
        assert right < cost(regular_grid(6.0, 110.0, 4, 0.3 + shift))
        assert right < cost(regular_grid(6.0, float(rng.uniform(125, 200)), 4, 0.3))
    assert right < cost(regular_grid(6.0, 110.0, 4, 0.3 + 60 / 110))


def test_tempo_loss_is_minimal_at_the_reference() -> None:
    bpm = torch.linspace(MIN_BPM + 1, MAX_BPM - 1, 57)
    logits = torch.zeros(1, len(bpm), TEMPO_CLASSES, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(300):
        optimiser.zero_grad()
        tempo_loss(logits, bpm[None], torch.ones(1, len(bpm)).bool()).backward()
        optimiser.step()
    mean = (logits.softmax(-1) * torch.arange(TEMPO_CLASSES)).sum(-1)[0]
    assert torch.allclose(mean, tempo_class(bpm), atol=0.1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_augmentation_keeps_time_and_unselected_properties(seed: int) -> None:
    torch.manual_seed(seed)
    mel = torch.randn(3, 40, 24)
    no_change = AugmentationSettings(shift=0, tilt=0.0, level=0.0, masked=0.0)
    assert torch.equal(augment(mel, no_change), mel)
    # The same for each frame: a clip moved in time is changed alike.
    torch.manual_seed(seed)
    changed = augment(mel, AugmentationSettings())
    torch.manual_seed(seed)
    assert torch.equal(augment(mel.roll(5, 1), AugmentationSettings()), changed.roll(5, 1))
    masked = augment(mel, replace(no_change, masked=1.0, mask_bands=4))
    hidden = (masked == 0).all(1)
    assert bool((hidden.sum(1) <= 4).all())
    assert torch.equal(masked.masked_fill(hidden[:, None], 0), mel.masked_fill(hidden[:, None], 0))

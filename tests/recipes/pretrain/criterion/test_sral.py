"""Beats and bars cut out of curves, and the Structural Rhythm Alignment Loss on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionbeat_upstream.tracking.grid import Grid, regular_grid
from recipes.pretrain.criterion.beat_windows import BeatWindows, beat_windows
from recipes.pretrain.criterion.sral import SRALSettings, structural_rhythm_alignment_loss

CPU = torch.device("cpu")


def cut_beats(grids: list[Grid], frames: int, steps: int = 8) -> BeatWindows:
    return beat_windows(grids, [frames / 50] * len(grids), frames, steps, CPU)


@settings(deadline=None, max_examples=30)
@given(st.floats(50, 200), st.integers(2, 4), st.floats(-1, 1), st.integers(1, 12))
def test_beats_and_bars_are_the_complete_ones_inside(
    bpm: float, metre: int, first: float, steps: int
) -> None:
    grid, seconds = regular_grid(8.0, bpm, metre, first), 8.0
    windows = cut_beats([grid], 400, steps)
    inside = grid.beats[(grid.beats >= 0) & (grid.beats <= seconds)]
    assert len(windows.clip) == len(inside) - 1
    downbeats = grid.downbeats[(grid.downbeats >= 0) & (grid.downbeats <= seconds)]
    assert len(windows.bar_lengths) == max(len(downbeats) - 1, 0)
    assert (windows.bar_lengths == metre).all()
    # Time itself as a curve: every step's mean is the middle of the step.
    clock = (torch.arange(400)[None] + 0.5) / 50
    middle = inside[:-1, None] + np.diff(inside)[:, None] * (np.arange(steps) + 0.5) / steps
    assert np.abs(windows.per_beat(clock).numpy() - middle).max() < 0.02 / 2 + 1e-4


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(3, 30), st.integers(0, 10**6))
def test_the_mass_of_a_bar_does_not_depend_on_the_bins(metre: int, bins: int, seed: int) -> None:
    windows = cut_beats([regular_grid(8.0, 120.0, metre)], 400)
    beats = torch.rand(len(windows.clip), 8, generator=torch.Generator().manual_seed(seed))
    mass = windows.per_bar(beats, bins)
    assert mass.shape == (len(windows.bar_lengths), bins)
    whole = torch.stack([beats[windows.bar == k].sum() / metre for k in range(len(windows.bar_lengths))])
    assert torch.allclose(mass.sum(1), whole, atol=1e-4)


def test_an_accent_falls_into_its_bin() -> None:
    windows = cut_beats([regular_grid(4.0, 120.0, 4)], 200)
    curve = torch.zeros(1, 200)
    curve[0, 25 * 2 : 25 * 2 + 3] = 1  # the third beat of the first bar
    mass = windows.per_bar(windows.per_beat(curve), 4)
    assert mass[0].argmax() == 2
    assert mass[0, [0, 1, 3]].sum() == 0
    assert mass[1].sum() == 0


def sral(onset: Tensor, contact: Tensor, windows: BeatWindows, per_beat: float = 1.0) -> Tensor:
    mask = torch.ones_like(onset, dtype=torch.bool)
    sral_settings = SRALSettings(per_beat=per_beat, regression=0.0)
    return structural_rhythm_alignment_loss(
        torch.logit(onset, 1e-4), torch.logit(contact, 1e-4), onset, contact, mask, windows, sral_settings
    )[0]


def clicks(beats: list[float]) -> Tensor:
    time = (torch.arange(400) + 0.5) / 50
    return sum((torch.exp(-(((time - beat) / 0.03) ** 2)) for beat in beats), torch.zeros(400))[None].clamp(
        0, 1
    )


def test_aligned_events_have_a_lower_loss() -> None:
    windows = cut_beats([regular_grid(8.0, 120.0, 4)], 400, 16)
    beats = [0.5 * k for k in range(16)]
    downbeats = beats[::4]
    music = clicks(downbeats)
    same, near, opposite = (
        sral(music, clicks([beat + shift for beat in downbeats]), windows) for shift in (0.0, 0.05, 1.0)
    )
    assert same.item() == pytest.approx(0, abs=1e-3)
    assert same < near < opposite
    # Shifted by half a bar, the beats are equal and only the bars differ.
    assert sral(music, clicks([beat + 1.0 for beat in downbeats]), windows, per_beat=0.0) > 0.4


def test_only_wrong_predictions_cost() -> None:
    windows = cut_beats([regular_grid(8.0, 120.0, 4)], 400)
    target = clicks([0.5 * k for k in range(16)])
    mask = torch.ones_like(target, dtype=torch.bool)
    perfect = torch.logit(target, 1e-6)
    loss, _ = structural_rhythm_alignment_loss(
        perfect, perfect, target, target, mask, windows, SRALSettings()
    )
    assert loss.item() == pytest.approx(0, abs=1e-3)
    _, parts = structural_rhythm_alignment_loss(
        -perfect, perfect, target, target, mask, windows, SRALSettings()
    )
    assert parts["sral_music_head"] > 1
    assert parts["sral_motion_head"].item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    "grid", [Grid(np.array([20.0, 21.0]), np.array([1, 2]), 4), regular_grid(0.9, 60.0, 4)]
)
def test_without_a_whole_beat_or_bar_the_heads_still_learn(grid: Grid) -> None:
    windows = cut_beats([grid], 45)
    onset, contact = (torch.randn(1, 45, requires_grad=True) for _ in range(2))
    target, mask = torch.rand(1, 45), torch.ones(1, 45, dtype=torch.bool)
    loss, parts = structural_rhythm_alignment_loss(
        onset, contact, target, target, mask, windows, SRALSettings()
    )
    assert parts["sral_per_beat"].item() == parts["sral_per_bar"].item() == 0
    loss.backward()
    assert onset.grad is not None
    assert torch.isfinite(onset.grad).all()
    assert onset.grad.any()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 60), st.integers(0, 10**6))
def test_padding_does_not_matter(extra: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    onset, contact = torch.randn(2, 2, 200, generator=draw)
    target = torch.rand(2, 200, generator=draw)
    grids = [regular_grid(4.0, 100.0, 4, 0.3), regular_grid(4.0, 140.0, 3)]
    mask = torch.ones(2, 200, dtype=torch.bool)
    plain, _ = structural_rhythm_alignment_loss(
        onset, contact, target, target, mask, beat_windows(grids, [4.0, 4.0], 200, 8, CPU), SRALSettings()
    )
    onset, contact = (torch.nn.functional.pad(x, (0, extra), value=9.0) for x in (onset, contact))
    target, mask = (torch.nn.functional.pad(x, (0, extra)) for x in (target, mask))
    windows = beat_windows(grids, [4.0, 4.0], 200 + extra, 8, CPU)
    padded, _ = structural_rhythm_alignment_loss(
        onset, contact, target, target, mask, windows, SRALSettings()
    )
    assert torch.allclose(plain, padded, atol=1e-5)

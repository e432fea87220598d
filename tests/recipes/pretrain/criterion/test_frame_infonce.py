"""The frame-level loss against a loop; a periodic motion is not its own negative."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recipes.pretrain.criterion.frame_infonce import (
    MAX_SHIFT_FRAMES,
    MIN_SHIFT_FRAMES,
    draw_shifts,
    draw_windows,
    frame_infonce,
)

WINDOW = 20


def loop_loss(
    music: Tensor,
    motion: Tensor,
    first: Tensor,
    fits: Tensor,
    shifts: Tensor,
    is_negative: Tensor,
    tau: float,
) -> Tensor:
    def exp_similarity(i: int, j: int, begin: int, other: int) -> Tensor:
        x, y = music[i, begin : begin + WINDOW].flatten(), motion[j, other : other + WINDOW].flatten()
        return torch.exp(x @ y / x.norm() / y.norm() / tau)

    terms = []
    for i in range(len(music)):
        for w in range(first.shape[1]):
            if not fits[i]:
                continue
            begin = int(first[i, w])
            positive = exp_similarity(i, i, begin, begin)
            denominator = positive.clone()
            for shift in shifts.tolist():
                denominator = denominator + exp_similarity(i, i, begin, begin + shift)
            for j in range(len(motion)):
                if is_negative[i, j] and fits[j]:
                    denominator = denominator + exp_similarity(i, j, begin, int(first[j, w]))
            terms.append(-torch.log(positive / denominator))
    return torch.stack(terms).mean() if terms else torch.zeros((), dtype=music.dtype)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(60, 160), min_size=1, max_size=4), st.integers(0, 10**6))
def test_equals_the_loop(lengths: list[int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    music, motion, seen = torch.randn(3, len(lengths), max(lengths), 3, generator=draw, dtype=torch.float64)
    first, fits = draw_windows(torch.tensor(lengths), WINDOW, 2, generator=draw)
    shifts = draw_shifts(4, draw)
    is_negative = torch.rand(len(lengths), len(lengths), generator=draw) < 0.6
    loss, _ = frame_infonce(music, motion, seen, first, fits, shifts, is_negative, torch.tensor(0.2), WINDOW)
    assert torch.allclose(loss, loop_loss(music, motion, first, fits, shifts, is_negative, 0.2), atol=1e-7)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.integers(0, 10**6))
def test_shifted_windows_lie_inside_the_clip(lengths: list[int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    first, fits = draw_windows(torch.tensor(lengths), WINDOW, 3, generator=draw)
    for row, length in enumerate(lengths):
        assert bool(fits[row]) == (length >= WINDOW + 2 * MAX_SHIFT_FRAMES)
        if fits[row]:
            assert int(first[row].min()) >= MAX_SHIFT_FRAMES
            assert int(first[row].max()) + WINDOW + MAX_SHIFT_FRAMES <= length


@given(st.integers(1, 20), st.integers(0, 10**6))
def test_shifts_are_80_to_800_ms_in_both_directions(count: int, seed: int) -> None:
    shifts = draw_shifts(count, torch.Generator().manual_seed(seed))
    assert ((shifts.abs() >= MIN_SHIFT_FRAMES) & (shifts.abs() <= MAX_SHIFT_FRAMES)).all()
    assert abs(int(shifts.sign().sum())) <= 1


def test_a_motion_shifted_by_its_period_is_not_a_negative() -> None:
    time = torch.arange(200) / 20
    periodic = torch.stack([torch.sin(2 * math.pi * time), torch.cos(2 * math.pi * time)], -1)[None]
    first, fits = draw_windows(torch.tensor([200]), WINDOW, 1)
    none = torch.zeros(1, 1, dtype=torch.bool)
    losses = [
        frame_infonce(
            periodic, periodic, periodic, first, fits, torch.tensor([shift]), none, torch.tensor(1.0), WINDOW
        )[0].item()
        for shift in (20, 10)
    ]
    assert losses[0] == 0
    assert losses[1] > 0


def test_clips_shorter_than_a_window_have_loss_0() -> None:
    x = torch.randn(2, 50, 3, requires_grad=True)
    first, fits = draw_windows(torch.tensor([50, 30]), WINDOW, 2)
    is_negative = torch.ones(2, 2, dtype=torch.bool)
    loss, _ = frame_infonce(x, x, x, first, fits, draw_shifts(2), is_negative, torch.tensor(0.1), WINDOW)
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert not x.grad.any()

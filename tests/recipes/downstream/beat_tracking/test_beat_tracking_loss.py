from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motion_data.pipeline.beat_targets import frame_targets
from recipes.downstream.beat_tracking.loss import (
    balancing_weight,
    shift_tolerant_bce,
    tolerance_frames,
)


def oracle(
    logits: list[float], targets: list[int], tolerance: int, weight: float, mask: list[bool]
) -> tuple[float, int]:
    """The definition, frame by frame: summed loss, and frames looked at."""
    total, looked_at = 0.0, 0
    size = len(logits)
    for t in range(size):
        if not mask[t] or t < 2 * tolerance or t >= size - 2 * tolerance:
            continue
        near_logits = [logits[u] for u in range(size) if abs(u - t) <= tolerance]
        near_beat = any(targets[u] for u in range(size) if abs(u - t) <= 2 * tolerance)
        if targets[t]:
            total += weight * math.log1p(math.exp(-max(near_logits)))
            looked_at += 1
        elif not near_beat:
            total += math.log1p(math.exp(max(near_logits)))
            looked_at += 1
    return total, looked_at


@settings(deadline=None)
@given(
    size=st.integers(1, 60),
    tolerance=st.integers(0, 6),
    weight=st.floats(0.1, 50),
    seed=st.integers(0, 10_000),
    density=st.floats(0, 0.4),
)
def test_it_equals_the_definition(
    size: int, tolerance: int, weight: float, seed: int, density: float
) -> None:
    draw = np.random.default_rng(seed)
    logits = torch.from_numpy(draw.normal(0, 3, (2, 3, size)))
    targets = torch.from_numpy((draw.uniform(size=(2, 3, size)) < density).astype(np.float64))
    mask = torch.from_numpy(draw.uniform(size=(2, 3, size)) < 0.8)
    rows = [
        oracle(logits[b, c].tolist(), targets[b, c].tolist(), tolerance, weight, mask[b, c].tolist())
        for b in range(2)
        for c in range(3)
    ]
    expected = sum(total for total, _ in rows) / max(sum(count for _, count in rows), 1)
    loss = shift_tolerant_bce(logits, targets, tolerance, weight, mask)
    torch.testing.assert_close(loss.item(), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_without_tolerance_it_is_weighted_bce(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 50, generator=draw, dtype=torch.float64)
    targets = (torch.rand(4, 50, generator=draw) < 0.2).double()
    torch.testing.assert_close(
        shift_tolerant_bce(logits, targets, 0, 5.0),
        torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=torch.tensor(5.0, dtype=torch.float64)
        ),
    )


def peaks_at(frames: list[int], size: int = 200) -> Tensor:
    logits = torch.full((size,), -8.0)
    logits[frames] = 8.0
    return logits


def test_a_peak_within_the_tolerance_is_as_good_as_exact_and_beyond_is_not() -> None:
    targets = torch.zeros(200)
    targets[[50, 100, 150]] = 1
    exact = shift_tolerant_bce(peaks_at([50, 100, 150]), targets, 3, 1.0)
    assert exact < 0.01
    for shift in range(-3, 4):
        torch.testing.assert_close(
            shift_tolerant_bce(peaks_at([50 + shift, 100, 150 - shift]), targets, 3, 1.0), exact
        )
    for shift in (-10, -5, -4, 4, 5, 10):
        assert shift_tolerant_bce(peaks_at([50 + shift, 100, 150]), targets, 3, 1.0) > 10 * exact
    # A false peak and a missing one both cost.
    assert shift_tolerant_bce(peaks_at([50, 75, 100, 150]), targets, 3, 1.0) > 10 * exact
    assert shift_tolerant_bce(peaks_at([50, 100]), targets, 3, 1.0) > 10 * exact


@pytest.mark.parametrize("size", [1, 5, 12, 40])
def test_no_beats_or_nothing_to_look_at_still_has_a_finite_gradient(size: int) -> None:
    logits = torch.randn(2, size, requires_grad=True)
    loss = shift_tolerant_bce(logits, torch.zeros(2, size), 3, torch.tensor([[2.0], [5.0]]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (loss > 0) == (size > 12)


def test_what_is_masked_does_not_count() -> None:
    logits = torch.randn(2, 60, requires_grad=True)
    targets = (torch.rand(2, 60) < 0.1).float()
    known = torch.tensor([[True], [False]])
    loss = shift_tolerant_bce(logits, targets, 3, torch.tensor([[3.0], [9.0]]), known)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0] != 0).any()


def test_times_go_to_the_frames_that_hold_them() -> None:
    targets = frame_targets([0.0, 0.019, 0.02, 0.5, 0.999, 1.0, 1.01, 1.03, -0.1], 50, 50.0)
    assert torch.nonzero(targets)[:, 0].tolist() == [0, 1, 25, 49]
    assert frame_targets([], 10, 50.0).sum() == 0
    assert frame_targets([1.0], 50, 50.0)[49] == 1  # the audio's last beat, features a frame short


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 9.99), max_size=30),
    st.sampled_from([160, 200, 256, 320, 640]),
)
def test_a_frame_is_never_farther_than_half_of_it_from_its_beat(times: list[float], stride: int) -> None:
    rate = 16_000 / stride
    frames = round(10 * rate)
    hot = (torch.nonzero(frame_targets(times, frames, rate))[:, 0].double().numpy() + 0.5) / rate
    assert len(hot) <= len(times)
    for time in times:
        assert np.abs(hot - time).min() <= 0.5 / rate + 1e-9


def test_the_tolerance_is_a_time() -> None:
    assert [tolerance_frames(0.06, rate) for rate in (25.0, 50.0, 62.5, 100.0)] == [2, 3, 4, 6]


def test_the_automatic_weight_balances_beats_and_the_rest() -> None:
    tolerance, rate, seconds = 3, 50.0, 400.0
    times = np.arange(1.0, seconds - 1, 0.5)
    targets = frame_targets(times, int(seconds * rate), rate)
    weight = balancing_weight([(seconds, len(times))], rate, tolerance)
    # With logits of 0 every frame costs ln 2: half of the sum is then the beats'.
    sure_beats = shift_tolerant_bce(torch.full_like(targets, 50.0), targets, tolerance, weight)
    half = shift_tolerant_bce(torch.zeros_like(targets), targets, tolerance, weight)
    positives = weight * math.log(2) * len(times) / (seconds * rate - 4 * tolerance * len(times))
    assert half.item() == pytest.approx(2 * positives, rel=0.02)
    assert sure_beats > half
    assert balancing_weight([], rate, tolerance) == 1.0
    assert balancing_weight([(1.0, 500)], rate, tolerance) == 1.0

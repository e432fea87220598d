"""The spectrum over bars depends on the phase between two sides, and not on a phase common to both."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.pipeline.batch import displace_grid
from motionbeat_upstream.nn.bar_spectrum import LONGEST_PERIOD, MAX_FREQUENCY, BarSpectrum, frame_bars
from motionbeat_upstream.tracking.grid import cut_tokens, fallback_grid, regular_grid

RATE = 50.0


def spectrum(dim: int = 3, curves: int = 2) -> BarSpectrum:
    torch.manual_seed(0)
    model = BarSpectrum(dim, curves).double()
    torch.nn.init.uniform_(model.gain, 0.5, 1.5)
    return model


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(0, 3))
def test_the_product_does_not_change_when_both_sides_are_shifted(seed: int, shift: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    music, motion = torch.randn(2, 4, 90, 3, generator=draw, dtype=torch.float64)
    bars = torch.linspace(0, 3.3, 90, dtype=torch.float64).expand(4, -1)
    mask = torch.ones(4, 90, dtype=torch.bool)
    model = spectrum()
    model.frequency = model.frequency.double()
    plain = (model(music, bars, mask) * model(motion, bars, mask)).sum(1)
    both = (model(music, bars + shift, mask) * model(motion, bars + shift, mask)).sum(1)
    assert torch.allclose(plain, both, atol=1e-9)
    # Shifts by the longest period are the identity.
    periodic = (model(music, bars, mask) * model(motion, bars + LONGEST_PERIOD, mask)).sum(1)
    assert torch.allclose(plain, periodic, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_the_product_is_the_correlation_of_the_curves(seed: int) -> None:
    """Parseval's theorem, with all gains 1, over whole periods, for curves without higher frequencies."""
    draw = torch.Generator().manual_seed(seed)
    frames = 2 * LONGEST_PERIOD * MAX_FREQUENCY * 2
    time = torch.arange(frames, dtype=torch.float64) / frames * LONGEST_PERIOD
    curves = torch.zeros(2, 1, frames, 1, dtype=torch.float64)
    for side in range(2):
        for k in range(1, 20):
            size, angle = torch.rand(2, generator=draw, dtype=torch.float64)
            curves[side, 0, :, 0] += size * torch.cos(2 * math.pi * (k / LONGEST_PERIOD * time + angle))
    model = BarSpectrum(1, 1).double()
    model.frequency = model.frequency.double()
    torch.nn.init.ones_(model.curves.weight)
    mask = torch.ones(1, frames, dtype=torch.bool)
    first, second = (model(side, time[None], mask) for side in curves)
    expected = (curves[0] * curves[1]).mean()
    assert torch.allclose(2 * (first * second).sum(), expected, atol=1e-9)


def test_padding_and_constants_have_no_effect() -> None:
    model = spectrum()
    model.frequency = model.frequency.double()
    frames = torch.randn(2, 60, 3, dtype=torch.float64)
    bars = torch.linspace(0.2, 2.2, 60, dtype=torch.float64).expand(2, -1)
    mask = torch.ones(2, 60, dtype=torch.bool)
    alone = model(frames, bars, mask)
    padded = model(
        torch.cat([frames, torch.randn(2, 9, 3, dtype=torch.float64)], 1),
        torch.cat([bars, torch.randn(2, 9, dtype=torch.float64)], 1),
        torch.cat([mask, torch.zeros(2, 9, dtype=torch.bool)], 1),
    )
    assert torch.allclose(alone, padded, atol=1e-12)
    assert torch.allclose(alone, model(frames + 3.0, bars, mask), atol=1e-9)
    assert not model(torch.ones_like(frames), bars, mask).abs().max() > 1e-9


@settings(deadline=None, max_examples=30)
@given(st.floats(60, 200), st.sampled_from([2, 3, 4]), st.floats(-2, 2), st.floats(0, 0.99))
def test_frames_and_tokens_have_the_same_bars(bpm: float, metre: int, downbeat: float, phase: float) -> None:
    grid = displace_grid(regular_grid(8.0, bpm, metre, downbeat), phase)
    bars = frame_bars([grid], 400, RATE)[0].double().numpy()
    times = (np.arange(400) + 0.5) / RATE
    np.testing.assert_allclose(np.diff(bars), bpm / 60 / metre / RATE, rtol=1e-3)
    assert 0 <= bars[0] < 1
    tokens = cut_tokens([grid], [8.0], 4)
    middle = ((tokens.start + tokens.stop) / 2)[0].numpy()
    whole = np.isclose((tokens.stop - tokens.start)[0].numpy(), 60 / bpm / 4, rtol=1e-6)
    expected = (tokens.bar + tokens.phase / (2 * math.pi))[0].numpy()
    off = np.interp(middle, times, bars)[whole] - expected[whole]
    # Both count bars from the start of the clip, which may be a border of a token.
    inner = off[1:-1]
    assert np.abs(inner - np.round(inner[0])).max() < 1e-3


@given(st.sampled_from([40, 400]), st.sampled_from([25.0, 50.0]))
def test_bars_of_the_fallback_grid_are_proportional_to_time(frames: int, rate: float) -> None:
    bars = frame_bars([fallback_grid(frames / rate)], frames, rate)[0]
    torch.testing.assert_close((torch.arange(frames) + 0.5) / (rate * 2.0), bars)

"""Kinematic beats: both published definitions, against loops written from their codes' description."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recipes.dance_metrics.music_alignment import bailando_beats, beat_alignment, fact_beats


def sway(seed: int, fps: float, seconds: float = 5.0) -> NDArray[np.float64]:
    """A few joints that swing with a few slow harmonics, the same motion at any frame rate."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * fps) + 1) / fps
    joints = np.zeros((len(times), 4, 3))
    for frequency in (0.7, 1.3, 2.1):
        size, phase = rng.uniform(0.02, 0.2, (4, 3)), rng.uniform(0, 2 * np.pi, (4, 3))
        joints += size * np.sin(2 * np.pi * frequency * times[:, None, None] + phase)
    return joints


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_fact_against_a_loop(seed: int) -> None:
    joints = sway(seed, 60.0)
    speed = [0.0]
    for frame in range(1, len(joints)):
        speed.append(sum(math.dist(a, b) for a, b in zip(joints[frame], joints[frame - 1], strict=True)))
    last = len(speed) - 1
    expected = [
        k
        for k in range(1, last)
        if all(speed[k] < speed[max(k - d, 0)] and speed[k] < speed[min(k + d, last)] for d in range(1, 11))
    ]
    np.testing.assert_allclose(fact_beats(joints, 60.0), np.array(expected) / 60)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_bailando_against_a_loop(seed: int) -> None:
    joints = sway(seed, 60.0)
    speed = np.array(
        [
            np.mean([math.dist(a, b) for a, b in zip(joints[frame + 1], joints[frame], strict=True)])
            for frame in range(len(joints) - 1)
        ]
    )
    kernel = np.exp(-0.5 * (np.arange(-20, 21) / 5.0) ** 2)
    calm = np.convolve(np.pad(speed, 20, mode="symmetric"), kernel / kernel.sum(), mode="valid")
    expected = [k for k in range(1, len(calm) - 1) if calm[k - 1] > calm[k] < calm[k + 1]]
    np.testing.assert_allclose(bailando_beats(joints, 60.0), np.array(expected) / 60)


@pytest.mark.parametrize("beats", [fact_beats, bailando_beats])
@pytest.mark.parametrize("fps", [30.0, 100.0, 120.0])
def test_beats_are_the_same_at_any_frame_rate(
    beats: Callable[[NDArray[np.float64], float], NDArray[np.float64]], fps: float
) -> None:
    for seed in range(5):
        expected = beats(sway(seed, 60.0), 60.0)
        expected = expected[(expected > 0.5) & (expected < 4.5)]
        found = beats(sway(seed, fps), fps)
        assert len(expected) > 2
        assert np.abs(expected[:, None] - found).min(axis=1).max() < 0.018


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(0, 60), min_size=1, max_size=20), st.lists(st.floats(0, 60), min_size=1, max_size=20)
)
def test_alignment_against_a_loop(times: list[float], reference: list[float]) -> None:
    total = 0.0
    for time in times:
        frames = min(abs(time - other) for other in reference) * 60
        total += math.exp(-(frames**2) / 2 / 9)
    found = beat_alignment(np.array(times), np.array(reference))
    assert found == pytest.approx(total / len(times), abs=1e-12)
    assert beat_alignment(np.array(times), np.array(times)) == 1.0
    assert beat_alignment(np.array([]), np.array(reference)) == 0.0

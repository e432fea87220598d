"""Beats of a stream: independent of its blocks, and those of the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motionbeat_upstream.beat_stream import BeatStream
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.errors import AudioError, ConfigError
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.hubconf import motionbeat
from tests.drum_patterns import beat_times, piece

Wav = NDArray[np.float32]

SECONDS = 12.0


@pytest.fixture(scope="module")
def model() -> UpstreamExpert:
    return motionbeat()


@pytest.fixture(scope="module")
def wav() -> Wav:
    wav: Wav = piece(beat_times(126, SECONDS), 4, SECONDS).numpy()
    return wav


def streamed(
    model: UpstreamExpert, wav: Wav, sizes: list[int], rate: float = SAMPLE_RATE, latency: float = 4.0
) -> list[tuple[float, int]]:
    stream = BeatStream(model, rate, latency)
    beats, start, number = [], 0, 0
    while start < len(wav):
        size = sizes[number % len(sizes)]
        beats += stream.feed(wav[start : start + size])
        start, number = start + size, number + 1
    return beats + stream.finish()


@pytest.mark.slow
@settings(max_examples=4)
@given(st.lists(st.integers(1000, 60_000), min_size=1, max_size=4))
def test_blocks_of_any_size_give_the_same_beats(model: UpstreamExpert, wav: Wav, sizes: list[int]) -> None:
    assert streamed(model, wav, sizes) == streamed(model, wav, [4000])


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_beats_are_those_of_the_recording(model: UpstreamExpert, wav: Wav, rate: int) -> None:
    beats = streamed(model, soxr.resample(wav, SAMPLE_RATE, rate), [rate // 10], rate)
    times = np.array([time for time, _ in beats])
    np.testing.assert_allclose(times, beat_times(126, SECONDS), atol=0.03)
    whole = model.tower.estimate_grid(torch.from_numpy(wav))
    assert [position for _, position in beats] == whole.positions.tolist()


def test_a_beat_is_final_after_the_latency(model: UpstreamExpert, wav: Wav) -> None:
    stream, latency = BeatStream(model, SAMPLE_RATE, 2.0), 2.0
    for second in range(int(SECONDS)):
        beats = stream.feed(wav[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE])
        assert all(time <= second + 1 - latency for time, _ in beats)
        if second >= 5:  # a tempo takes a few beats
            assert beats
            assert beats[-1][0] > second + 1 - latency - 60 / 126 - 0.05


def test_silence_has_no_beats(model: UpstreamExpert) -> None:
    assert streamed(model, np.zeros(6 * SAMPLE_RATE, np.float32), [8000]) == []
    stream = BeatStream(model, SAMPLE_RATE)
    assert stream.finish() == []


def test_mistakes(model: UpstreamExpert) -> None:
    with pytest.raises(AudioError, match="positive number of Hz, got 0"):
        BeatStream(model, 0)
    with pytest.raises(ConfigError, match="latency must be in"):
        BeatStream(model, SAMPLE_RATE, latency=60)
    with pytest.raises(AudioError, match=r"shape \(2, 5\)"):
        BeatStream(model, SAMPLE_RATE).feed(np.zeros((2, 5), np.float32))
    with pytest.raises(AudioError, match="finite"):
        BeatStream(model, SAMPLE_RATE).feed(np.array([np.nan], np.float32))

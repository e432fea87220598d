from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.beats_file import Beats
from recipes.downstream.beat_tracking.dataset import Recording
from recipes.downstream.beat_tracking.windows import (
    AudioCache,
    Chunks,
    TrainCrops,
    collate,
    plan_chunks,
    stitch,
)

RATE = 16_000


def recording(name: str, seconds: float, bpm: float = 120.0, positions: bool = True) -> Recording:
    """Samples that tell their own time: sample i is i / 16000 s."""
    times = np.arange(0.25, seconds, 60 / bpm)
    places = np.arange(len(times)) % 4 + 1 if positions else np.zeros(len(times), dtype=np.int64)
    audio = torch.arange(int(seconds * RATE)) / RATE
    return Recording(name, name, Beats(times, places), seconds, audio.clone)


@settings(deadline=None)
@given(
    samples=st.integers(1, 30 * RATE),
    seconds=st.floats(1, 8),
    share=st.floats(0, 0.49),
    stride=st.sampled_from([160.0, 640 / 3, 256.0, 320.0, 640.0]),
)
def test_every_frame_is_kept_once_and_far_from_a_cut(
    samples: int, seconds: float, share: float, stride: float
) -> None:
    chunks = plan_chunks(0, samples / RATE, seconds, share * seconds, stride)
    assert len({chunk.count for chunk in chunks}) == 1
    assert chunks[0].count == len(chunks)
    frames = math.ceil(samples / stride)
    margin = share * seconds * RATE / stride / 2 - 1
    kept: list[int] = []
    for k, chunk in enumerate(chunks):
        start, stop = chunk.samples
        first = round(start / stride)
        last = frames if stop == samples else round(stop / stride)
        assert abs(start - first * stride) <= 0.5
        assert (stop - start) <= seconds * RATE + 1 or len(chunks) == 1
        kept += range(first, last)[slice(*chunk.keep)]
        if k:
            assert chunk.keep[0] >= margin
        if chunk.keep[1] is not None:
            assert last - first - chunk.keep[1] >= margin
    assert kept == list(range(frames))


def test_stitched_chunks_are_the_whole() -> None:
    stride = 320
    recordings = [recording("long", 21.37), recording("short", 2.0), recording("longer", 30.0)]
    chunks = Chunks(recordings, AudioCache(recordings, 100), 5.0, 1.0, stride)
    heard = []
    for index in range(len(chunks)):
        audio, chunk = chunks[index]
        assert len(audio) <= 5.0 * RATE
        heard.append((chunk, audio[::stride]))
    whole = stitch(reversed(heard))
    for index, of in enumerate(recordings):
        torch.testing.assert_close(whole[index], of.load()[::stride])
    # A recording that lacks a chunk is no recording.
    assert set(stitch(heard[1:])) == {1, 2}


def test_crops_carry_the_beats_inside_them() -> None:
    recordings = [recording("a", 60.0), recording("b", 5.0), recording("c", 20.0, positions=False)]
    crops = TrainCrops(recordings, AudioCache(recordings, 100), 8.0, seed=1, epoch=0)
    assert len(crops) == 7 + 1 + 2
    starts = set()
    for index in range(len(crops)):
        audio, (crop, downbeats_known) = crops[index]
        start = float(audio[0])
        starts.add(round(start, 3))
        owner = recordings[0 if index < 7 else 1 if index == 7 else 2]
        assert len(audio) == min(8.0, owner.seconds) * RATE
        inside = (owner.beats.times >= start) & (owner.beats.times < start + len(audio) / RATE)
        np.testing.assert_allclose(crop.times + start, owner.beats.times[inside], atol=1e-4)
        np.testing.assert_array_equal(crop.positions, owner.beats.positions[inside])
        assert downbeats_known == (owner.name != "c")
    assert len(starts) >= 8


@given(st.floats(1.0, 30.0), st.floats(0.0, 5.0), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_crops_begin_at_few_places(seconds: float, step: float, seed: int) -> None:
    recordings = [recording("a", round(seconds * RATE) / RATE)]
    cache = AudioCache(recordings, 100)
    length, size = len(cache.load(0)), round(4.0 * RATE)
    last, hop = max(length - size, 0), max(1, round(step * RATE))
    places = {*range(0, last + 1, hop), last}
    drawn = set()
    for epoch in range(60):
        crops = TrainCrops(recordings, cache, 4.0, seed, epoch, step)
        for index in range(len(crops)):
            audio, _ = crops[index]
            assert len(audio) == min(size, length)
            drawn.add(round(float(audio[0]) * RATE))
    assert drawn <= places
    assert len(places) > 3 or drawn == places


def test_crops_are_set_by_seed_and_epoch() -> None:
    recordings = [recording("a", 60.0)]
    cache = AudioCache(recordings, 100)

    def starts(seed: int, epoch: int) -> list[float]:
        crops = TrainCrops(recordings, cache, 8.0, seed, epoch)
        return [float(crops[index][0][0]) for index in range(len(crops))]

    assert starts(1, 0) == starts(1, 0)
    assert len({tuple(starts(seed, epoch)) for seed, epoch in ((1, 0), (1, 1), (2, 0))}) == 3


def test_what_is_handed_out_may_be_written_to() -> None:
    recordings = [recording("a", 4.0)]
    cache = AudioCache(recordings, 100)
    TrainCrops(recordings, cache, 4.0, 0, 0)[0][0].zero_()
    Chunks(recordings, cache, 9.0, 1.0, 320)[0][0].zero_()
    assert cache.load(0)[-1] > 3.9


def test_the_cache_is_bounded_and_keeps_the_last_used() -> None:
    decoded: list[str] = []

    def decode(name: str) -> torch.Tensor:
        decoded.append(name)
        return torch.zeros(RATE)

    def counted(name: str) -> Recording:
        return Recording(
            name, name, Beats(np.empty(0), np.empty(0, dtype=np.int64)), 1.0, lambda: decode(name)
        )

    cache = AudioCache([counted(name) for name in "abc"], megabytes=0.13)  # two seconds
    for index in (0, 1, 0, 2, 0, 1):
        cache.load(index)
    assert decoded == ["a", "b", "c", "b"]


def test_a_batch_is_audio_and_the_rest() -> None:
    recordings = [recording("a", 4.0)]
    crops = TrainCrops(recordings, AudioCache(recordings, 1), 2.0, 0, 0)
    wavs, rest = collate([crops[0], crops[1]])
    assert [type(wav) for wav in wavs] == [torch.Tensor] * 2
    assert len(rest) == 2

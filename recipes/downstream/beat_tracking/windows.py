"""Excerpts for the upstream: random crops for training, chunks of whole pieces for evaluation."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from motion_data.beats_file import Beats
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.beat_tracking.dataset import Recording

Crop = tuple[Beats, bool]
"""Beats in a training crop, in seconds from its start, and whether its downbeats are known."""


@dataclass(frozen=True)
class Chunk:
    """A chunk of a recording, and the frames that are kept of it."""

    recording: int
    """Index of the recording in its split."""
    samples: tuple[int, int]
    """Start and end in samples."""
    keep: tuple[int, int | None]
    """First and end of the kept frames, counted from the start of the chunk; None for its end."""
    count: int
    """Number of chunks of the recording."""


class AudioCache:
    """A least-recently-used cache of decoded audio."""

    def __init__(self, recordings: Sequence[Recording], megabytes: float) -> None:
        self._recordings = recordings
        self._limit = megabytes * 1e6
        self._audio: OrderedDict[int, Tensor] = OrderedDict()
        self._bytes = 0

    def load(self, index: int) -> Tensor:
        """Audio of one recording, (T,) float32 at 16 kHz; read-only."""
        if index in self._audio:
            self._audio.move_to_end(index)
            return self._audio[index]
        audio = self._recordings[index].load()
        self._audio[index] = audio
        self._bytes += audio.nbytes
        while self._bytes > self._limit and len(self._audio) > 1:
            _, dropped = self._audio.popitem(last=False)
            self._bytes -= dropped.nbytes
        return audio


class TrainCrops(Dataset[tuple[Tensor, Crop]]):
    """Random crops; an epoch has as many of a recording as fit into it, at least one.

    The crops depend only on the seed, the epoch and the index, also in a resumed run. They start at multiples
    of ``step_seconds`` and at the last possible start, or at any sample with 0.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        cache: AudioCache,
        seconds: float,
        seed: int,
        epoch: int,
        step_seconds: float = 0.0,
    ) -> None:
        self._recordings = recordings
        self._cache = cache
        self._size = round(seconds * SAMPLE_RATE)
        self._step = max(1, round(step_seconds * SAMPLE_RATE))
        self._key = (seed, epoch)
        self._owners = [
            index
            for index, recording in enumerate(recordings)
            for _ in range(max(1, int(recording.seconds / seconds)))
        ]

    def __len__(self) -> int:
        return len(self._owners)

    def __getitem__(self, index: int) -> tuple[Tensor, Crop]:
        owner = self._owners[index]
        audio = self._cache.load(owner)
        rng = np.random.default_rng((*self._key, index))
        last = max(len(audio) - self._size, 0)
        start = min(last, self._step * int(rng.integers(0, math.ceil(last / self._step) + 1)))
        # A copy, because some upstreams normalise in place.
        audio = audio[start : start + self._size].clone()
        beats = self._recordings[owner].beats
        times = beats.times - start / SAMPLE_RATE
        inside = (times >= 0) & (times < len(audio) / SAMPLE_RATE)
        return audio, (Beats(times[inside], beats.positions[inside]), beats.downbeats_known)


class Chunks(Dataset[tuple[Tensor, Chunk]]):
    """Whole recordings in overlapping chunks, in order."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        cache: AudioCache,
        seconds: float,
        overlap: float,
        stride: float,
    ) -> None:
        self._cache = cache
        self._chunks = [
            chunk
            for index, recording in enumerate(recordings)
            for chunk in plan_chunks(index, recording.seconds, seconds, overlap, stride)
        ]

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, index: int) -> tuple[Tensor, Chunk]:
        chunk = self._chunks[index]
        start, stop = chunk.samples
        return self._cache.load(chunk.recording)[start:stop].clone(), chunk


def plan_chunks(
    recording: int, duration: float, seconds: float, overlap: float, stride: float
) -> list[Chunk]:
    """Divide a recording into chunks that start on whole frames; each frame is kept exactly once.

    Adjacent chunks overlap by at least ``overlap`` seconds. Frames are kept up to the middle of the overlap.

    Args:
        recording: index of the recording.
        duration: length of the recording in seconds.
        seconds: maximum length of a chunk, more than ``overlap``.
        overlap: minimum overlap in seconds.
        stride: samples per frame; if it is not an integer, chunks start within half a sample of a frame.
    """
    total = math.ceil(duration * SAMPLE_RATE - 1e-6)  # 8015 / 16000 * 16000 > 8015
    size = max(int(seconds * SAMPLE_RATE / stride), 1)
    if total <= size * stride:
        return [Chunk(recording, (0, total), (0, None), 1)]
    hop = max(size - math.ceil(overlap * SAMPLE_RATE / stride), 1)
    frames = math.ceil(total / stride)
    count = math.ceil((frames - size) / hop) + 1
    # Spread evenly, so that all chunks have the same length.
    starts = [round(k * (frames - size) / (count - 1)) for k in range(count)]
    borders = [0, *((before + size + after) // 2 for before, after in itertools.pairwise(starts))]
    chunks = []
    for k, start in enumerate(starts):
        last = k == count - 1
        stop = total if last else round((start + size) * stride)
        keep = (borders[k] - start, None if last else borders[k + 1] - start)
        chunks.append(Chunk(recording, (round(start * stride), stop), keep, count))
    return chunks


def stitch(chunks: Iterable[tuple[Chunk, Tensor]]) -> dict[int, Tensor]:
    """(T, ...) frames of whole recordings, by index, from (T_i, ...) frames of their chunks in any order.

    Incomplete recordings are left out.
    """
    parts: dict[int, list[tuple[Chunk, Tensor]]] = {}
    for chunk, frames in chunks:
        parts.setdefault(chunk.recording, []).append((chunk, frames))
    recordings = {}
    for recording, pairs in sorted(parts.items()):
        if len(pairs) == pairs[0][0].count:
            pairs.sort(key=lambda pair: pair[0].samples)
            recordings[recording] = torch.cat([frames[slice(*chunk.keep)] for chunk, frames in pairs])
    return recordings


def collate(
    items: Sequence[tuple[Tensor, Crop]] | Sequence[tuple[Tensor, Chunk]],
) -> tuple[list[object], ...]:
    """A batch for S3PRL's runner: the list of waveforms, then the list of labels."""
    wavs, labels = zip(*items, strict=True)
    return list(wavs), list(labels)

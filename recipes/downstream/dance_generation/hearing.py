"""A song as long as one likes, heard in blocks: the features at the frames that are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.dance_generation.body_numbers import FPS
from recipes.downstream.dance_generation.music_frames import at_frames

BLOCK, CONTEXT = 60.0, 10.0
"""Seconds of a block, and of what is heard on either side of it; the latter is left away."""

KEPT = 2
"""Blocks in memory: a slice may lie across two."""


class Hearing:
    """Gives (1, T, D) features of any frames of a song.

    Args:
        wav: (S,) at 16 kHz.
        encode: gives (1, F, D) features of (S',) samples.
        upstream: name of the upstream, which says when its frames are.
        rate: samples a feature.
    """

    def __init__(self, wav: Tensor, encode: Callable[[Tensor], Tensor], upstream: str, rate: float) -> None:
        self._wav, self._encode, self._upstream, self._rate = wav, encode, upstream, rate
        self._blocks: OrderedDict[int, Tensor] = OrderedDict()
        self._frames = round(BLOCK * FPS)
        self._last = max(0, (len(wav) - 1) // round(BLOCK * SAMPLE_RATE))

    def __call__(self, begin: int, end: int) -> Tensor:
        """The frames from one to another; beyond the song's end the last one is held."""
        parts = []
        for number in sorted({min(frame // self._frames, self._last) for frame in (begin, end - 1)}):
            first = number * self._frames
            last = end if number == self._last else min(end, first + self._frames)
            inside = torch.arange(max(begin, first), last) - first
            parts.append(self._block(number)[:, inside.clamp(max=self._frames - 1)])
        return torch.cat(parts, 1)

    def _block(self, number: int) -> Tensor:
        if number not in self._blocks:
            start = number * BLOCK
            before = max(0.0, start - CONTEXT)
            first, last = (round(seconds * SAMPLE_RATE) for seconds in (before, start + BLOCK + CONTEXT))
            features = self._encode(self._wav[first:last])
            times = torch.arange(self._frames, dtype=torch.float64) / FPS + start - before
            self._blocks[number] = at_frames(features, self._upstream, self._rate, times).float()
            while len(self._blocks) > KEPT:
                self._blocks.popitem(last=False)
        return self._blocks[number]

"""An upstream's features at the frames of a motion; of a song as long as one likes, heard in blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.frame_resampling import resample_frames
from recipes.downstream.dance_generation.body_numbers import FPS

FIRST_FRAME: Mapping[str, float] = {
    **dict.fromkeys(("fbank", "fbank_no_cmvn", "mfcc"), 0.0125),
    "edge_librosa": 0.0,
}
"""Seconds at which an upstream's first frame is centred: Kaldi's windows of 25 ms begin at 0; librosa's are
centred on 0. Of all others half a frame, as convolutions without padding, and ours, have it."""


def at_frames(features: Tensor, upstream: str, rate: float, times: Tensor) -> Tensor:
    """(..., N, D) features at (N,) seconds of the sound.

    Args:
        features: (..., T, D) of an upstream.
        upstream: its name in S3PRL's hub.
        rate: samples at 16 kHz from one of its frames to the next.
        times: (N,).
    """
    step = rate / SAMPLE_RATE
    return resample_frames(features, FIRST_FRAME.get(upstream, 0.5 * step), step, times)


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
        self._block = lru_cache(maxsize=KEPT)(self._encode_block)
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

    def _encode_block(self, number: int) -> Tensor:
        start = number * BLOCK
        before = max(0.0, start - CONTEXT)
        first, last = (round(seconds * SAMPLE_RATE) for seconds in (before, start + BLOCK + CONTEXT))
        features = self._encode(self._wav[first:last])
        times = torch.arange(self._frames, dtype=torch.float64) / FPS + start - before
        return at_frames(features, self._upstream, self._rate, times).float()

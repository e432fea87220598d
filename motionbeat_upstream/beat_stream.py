"""Beats of a stream of audio, block by block, some seconds behind it.

Every second the last forty seconds are analysed like a file, and beats older than the latency are returned;
they are final. The trunk sees five seconds to either side and the decoder weighs several beats, so a higher
latency gives beats that are closer to those of the whole recording (figures in docs/speed.md). Memory and
time per second do not grow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from motionbeat_upstream.config import BEAT_STREAM_LATENCY, SAMPLE_RATE
from motionbeat_upstream.errors import AudioError, ConfigError
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.tracking.bar_pointer import NO_HINTS, Hints

CONTEXT_SECONDS = 40.0
"""Audio that is analysed at once."""

HOP_SECONDS = 1.0
"""Audio between two analyses; a multiple of the 20 ms of a feature."""


class BeatStream:
    """Beats of audio that arrives in blocks.

    Args:
        model: what :func:`motionbeat_upstream.load` returned.
        rate: sampling rate of the blocks in Hz.
        latency: seconds of audio after a beat before it is returned, at least 0 and below 30; up to a second
            (the time between two analyses) is added.
        hints: range of tempi and metres, where they are known.

    Raises:
        AudioError: the rate is not a positive number.
        ConfigError: the latency is not in its range.

    Example::

        stream = BeatStream(motionbeat.load(), rate=44_100)
        for block in blocks:                       # (T,) float32
            for time, position in stream.feed(block):
                print(f"{time:.3f} s: beat {position} of the bar")
        stream.finish()
    """

    def __init__(
        self,
        model: UpstreamExpert,
        rate: float,
        latency: float = BEAT_STREAM_LATENCY,
        hints: Hints = NO_HINTS,
    ) -> None:
        if not 0 < rate < float("inf"):
            raise AudioError(f"the rate of a stream must be a positive number of Hz, got {rate}")
        if not 0 <= latency < CONTEXT_SECONDS - 10:
            raise ConfigError(f"latency must be in [0, {CONTEXT_SECONDS - 10:g}) seconds, got {latency}")
        self.latency = latency
        self._model = model
        self._hints = hints
        self._resampler: Any = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        self._context: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._blocks: list[NDArray[np.float32]] = []
        """Samples after the context. They are joined before an analysis, since a block may be short."""
        self._analysed = 0
        """Samples at 16 kHz up to the last analysis."""
        self._received = 0
        """Samples at 16 kHz so far; the context and the blocks are the last of them."""
        self._last_beat = float("-inf")

    def feed(self, block: NDArray[np.float32]) -> list[tuple[float, int]]:
        """Add a block, and return the beats that have become final.

        Args:
            block: (T,) samples, mono, of any length.

        Returns:
            Seconds since the start of the stream, and position in the bar from 1, of each beat.

        Raises:
            AudioError: the block has another shape, or holds values that are not finite.
        """
        block = np.asarray(block, dtype=np.float32)
        if block.ndim != 1 or not np.isfinite(block).all():
            raise AudioError(f"a block of shape {block.shape}: expected (T,) finite samples")
        self._append(self._resampler.resample_chunk(block))
        beats: list[tuple[float, int]] = []
        hop = round(HOP_SECONDS * SAMPLE_RATE)
        if self._received - self._analysed < hop:
            return beats
        self._join_blocks()
        while self._received - self._analysed >= hop:
            self._analysed += hop
            beats += self._analyse(self._analysed, self.latency)
        keep = round(CONTEXT_SECONDS * SAMPLE_RATE) + self._received - self._analysed
        self._context = self._context[-keep:]
        return beats

    def finish(self) -> list[tuple[float, int]]:
        """End the stream, and return its last beats."""
        self._append(self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        self._join_blocks()
        return self._analyse(self._received, 0.0)

    def _append(self, samples: NDArray[np.float32]) -> None:
        self._blocks.append(samples)
        self._received += len(samples)

    def _join_blocks(self) -> None:
        self._context = np.concatenate([self._context, *self._blocks])
        self._blocks.clear()

    def _analyse(self, stop: int, latency: float) -> list[tuple[float, int]]:
        """New beats up to ``latency`` seconds before the sample ``stop``."""
        first = self._received - len(self._context)
        start = max(first, stop - round(CONTEXT_SECONDS * SAMPLE_RATE))
        wav = torch.from_numpy(self._context[start - first : stop - first])
        if not len(wav):
            return []
        device = next(self._model.parameters()).device
        grid = self._model.tower.estimate_grid(wav.to(device), self._hints)
        if grid.confidence == 0:
            return []
        times = grid.beats + start / SAMPLE_RATE
        # Where a beat was returned, this analysis may have it a little later.
        new = (times > self._last_beat + 30 / grid.bpm) & (times <= stop / SAMPLE_RATE - latency)
        if new.any():
            self._last_beat = float(times[new][-1])
        return list(zip(times[new].tolist(), grid.positions[new].tolist(), strict=True))

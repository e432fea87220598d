"""A metrical grid from the beat heads of a trained tower, for a batch at once [O].

:mod:`~motionbeat_upstream.tracking.bar_pointer` decodes their activations. For a tower without heads
:mod:`~motionbeat_upstream.tracking.beat_estimation` has rules. To add what those find (accents, onsets in the
bass, periodicity) to the activations did not help on the dev sets, see docs/training.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import ENVELOPE_RATE
from motionbeat_upstream.tracking.accents import sounding
from motionbeat_upstream.tracking.bar_pointer import (
    NO_HINTS,
    BarPath,
    DecoderInput,
    Hints,
    decode_bars,
)
from motionbeat_upstream.tracking.beat_estimation import peak_offset
from motionbeat_upstream.tracking.grid import Grid, fallback_grid

LOGIT_STEP = 1e-3
"""Steps that logits are rounded to, so that the noise of a matrix product does not move beats."""

NO_PULSE = 0.28
"""Mean probability of the beats, by the heads, below which a clip has no pulse: between the music of the dev
sets, 0.37 and more but for one excerpt, and noise, hum and sounds like speech, 0.25 and less."""

FEW_BEATS = 0.7
"""Over the number of beats, what is added to ``NO_PULSE``: a few frames of noise may look like beats. In 2 s
of noise three beats have a probability of up to 0.59, in 8 s ten have up to 0.36."""


@dataclass(frozen=True)
class Calibration:
    """The logistic curve from a margin to a confidence: the probability that beats or bars are right.

    Margins are sums over beats, so they are divided by the root of the number of beats.
    """

    scale: float
    """Increase of the margin, so divided, that makes the odds e times as high."""
    even: float
    """Margin, so divided, of a confidence of 1/2."""

    def confidence(self, margin: float, beats: int) -> float:
        """The confidence, in [0, 1], of a margin over ``beats`` beats."""
        return 0.5 + 0.5 * math.tanh((margin / math.sqrt(beats) - self.even) / self.scale / 2)


BEATS = Calibration(scale=7.4, even=6.3)
"""Of the lead of the beats: fitted to 170 excerpts of the dev sets, 50 of them at 150 to 200 bpm, with the
weights that ship, see docs/training.md; right is an F-measure above 0.9."""

BARS = Calibration(scale=2.2, even=-0.14)
"""Of the lead of the bars, given the right beats; fitted likewise."""


@torch.no_grad()
def decode_grids(
    beat: Tensor,
    downbeat: Tensor,
    tempo: Tensor | None,
    log_mel: Tensor,
    lengths: Tensor,
    durations: Sequence[float],
    hints: Hints = NO_HINTS,
) -> list[Grid]:
    """Beats, bars and metre of each clip.

    Args:
        beat, downbeat, tempo, log_mel, lengths: as in :func:`decoder_input`, the log-mel at 100 Hz.
        durations: (B,) lengths of the clips in seconds.
        hints: range of tempi, and metres to choose from.

    Returns:
        One grid a clip, without beats in silences. Where there is no pulse it is
        :func:`~motionbeat_upstream.tracking.grid.fallback_grid`, with confidence 0.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    given = decoder_input(beat, downbeat, tempo, log_mel, lengths)
    rate = ENVELOPE_RATE * beat.shape[1] / log_mel.shape[1]
    paths = decode_bars(given, rate, hints=hints)
    clips = zip(paths, given.beat, given.lengths.tolist(), durations, strict=True)
    return [_grid(path, row[:count].cpu(), duration, rate) for path, row, count, duration in clips]


@torch.no_grad()
def decoder_input(
    beat: Tensor, downbeat: Tensor, tempo: Tensor | None, log_mel: Tensor, lengths: Tensor
) -> DecoderInput:
    """Rounded logits, and where something sounds at their rate.

    Args:
        beat: (B, F) logits of beats, downbeats included.
        downbeat: (B, F) logits of downbeats.
        tempo: (B, F, 32) logits of the tempo; None without such a head.
        log_mel: (B, k·F, M) log-mel at 100 Hz for a whole k.
        lengths: (B,) frames of ``log_mel`` of each clip.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    size = beat.shape[1]
    if log_mel.shape[1] % size or len(log_mel) != len(beat):
        raise ValueError(
            f"logits of shape {tuple(beat.shape)} and a log-mel of shape {tuple(log_mel.shape)} do not fit "
            f"each other; expected as many rows, and a whole number of frames of the log-mel to one logit"
        )
    pool = log_mel.shape[1] // size
    return DecoderInput(
        beat=_rounded(beat),
        downbeat=_rounded(downbeat),
        lengths=torch.div(lengths + pool - 1, pool, rounding_mode="floor"),
        tempo=None if tempo is None else _rounded(tempo),
        sounding=F.max_pool1d(sounding(log_mel, lengths).float(), pool) > 0,
    )


def _rounded(logits: Tensor) -> Tensor:
    return (logits.float() / LOGIT_STEP).round() * LOGIT_STEP


def pulse(path: BarPath, beat: Tensor) -> float:
    """Mean probability of a path's beats by the (F,) logits; NaN without beats."""
    return float(beat[path.frames].sigmoid().mean())


def beat_times(path: BarPath, beat: Tensor, rate: float) -> NDArray[np.float64]:
    """(N,) times of a path's beats in seconds, at the peaks of (F,) logits of beats at ``rate``."""
    # The path may pass a peak by a frame.
    near = F.pad(beat, (1, 1), value=-math.inf).unfold(0, 3, 1)[path.frames].argmax(1) - 1
    frames = torch.from_numpy(path.frames) + near
    times: NDArray[np.float64] = (
        frames + 0.5 + peak_offset(beat[None], frames[None])[0]
    ).double().numpy() / rate
    return times


def _grid(path: BarPath, beat: Tensor, duration: float, rate: float) -> Grid:
    """The grid of one clip, from its path and its (F,) logits of beats."""
    count = len(path.frames)
    if count < 2 or pulse(path, beat) < NO_PULSE + FEW_BEATS / count:
        return fallback_grid(duration)
    times = beat_times(path, beat, rate)
    inside = times < duration
    if inside.sum() < 2:
        return fallback_grid(duration)
    confidence = BEATS.confidence(path.beat_margin, count)
    return Grid(
        times[inside],
        path.positions[inside],
        int(np.bincount(path.metres[inside]).argmax()),
        confidence,
        confidence * BARS.confidence(path.bar_margin, count),
    )

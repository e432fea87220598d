"""Metrical grids from the beat heads of a trained tower [O].

:mod:`~motionbeat_upstream.tracking.bar_pointer` decodes the activations of the heads. For a tower without
heads :mod:`~motionbeat_upstream.tracking.beat_estimation` has rules. Adding their evidence (accents, onsets
in the bass, periodicity) to the activations did not improve results on the dev sets, see docs/training.md.
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
from motionbeat_upstream.tracking.accents import log_mel_sounding_frames
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
"""Step to which logits are rounded, so that rounding errors of matrix products do not change beats."""

MIN_BEAT_PROBABILITY = 0.28
"""Mean probability of the beats below which a clip has no pulse: between the music of the dev sets, 0.37 and
more except for one excerpt, and noise, hum and speech-like sounds, 0.25 and less."""

FEW_BEATS_PENALTY = 0.7
"""Divided by the number of beats, this is added to ``MIN_BEAT_PROBABILITY``, since a few frames of noise may
look like beats. In 2 s of noise three beats have a probability of up to 0.59, in 8 s ten have up to 0.36."""


@dataclass(frozen=True)
class Calibration:
    """A logistic function from a margin to a confidence, the probability that beats or bars are correct.

    Margins are sums over beats, and are divided by the square root of the number of beats.
    """

    scale: float
    """Increase of the divided margin that multiplies the odds by e."""
    midpoint: float
    """Divided margin with a confidence of 1/2."""

    def confidence(self, margin: float, beats: int) -> float:
        """Confidence in [0, 1] of a margin over ``beats`` beats."""
        return 0.5 + 0.5 * math.tanh((margin / math.sqrt(beats) - self.midpoint) / self.scale / 2)


BEAT_CALIBRATION = Calibration(scale=7.4, midpoint=6.3)
"""Calibration of the margins of beats: fitted to 170 excerpts of the dev sets, 50 of them at 150 to 200 bpm,
with the shipped weights, see docs/training.md; beats are correct if the F-measure is above 0.9."""

BAR_CALIBRATION = Calibration(scale=2.2, midpoint=-0.14)
"""Calibration of the margins of bars for correct beats, fitted likewise."""


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
    """Estimate beats, bars and metre of each clip.

    Args:
        beat, downbeat, tempo, log_mel, lengths: as in :func:`decoder_input`, the log-mel at 100 Hz.
        durations: (B,) lengths of the clips in seconds.
        hints: range of tempi, and possible metres.

    Returns:
        One grid per clip, without beats in silences. For a clip without a pulse it is
        :func:`~motionbeat_upstream.tracking.grid.fallback_grid`, with confidence 0.

    Raises:
        ValueError: shapes do not match.
    """
    activations = decoder_input(beat, downbeat, tempo, log_mel, lengths)
    rate = ENVELOPE_RATE * beat.shape[1] / log_mel.shape[1]
    paths = decode_bars(activations, rate, hints=hints)
    clips = zip(paths, activations.beat, activations.lengths.tolist(), durations, strict=True)
    return [_grid(path, row[:count].cpu(), duration, rate) for path, row, count, duration in clips]


@torch.no_grad()
def decoder_input(
    beat: Tensor, downbeat: Tensor, tempo: Tensor | None, log_mel: Tensor, lengths: Tensor
) -> DecoderInput:
    """Round logits, and detect the sounding frames at their rate.

    Args:
        beat: (B, F) logits of beats, downbeats included.
        downbeat: (B, F) logits of downbeats.
        tempo: (B, F, 32) logits of the tempo; None without a tempo head.
        log_mel: (B, k·F, M) log-mel at 100 Hz for an integer k.
        lengths: (B,) frames of ``log_mel`` of each clip.

    Raises:
        ValueError: shapes do not match.
    """
    size = beat.shape[1]
    if log_mel.shape[1] % size or len(log_mel) != len(beat):
        raise ValueError(
            f"logits of shape {tuple(beat.shape)} do not match a log-mel of shape {tuple(log_mel.shape)}; "
            f"expected as many rows, and an integer number of frames of the log-mel per logit"
        )
    pool = log_mel.shape[1] // size
    return DecoderInput(
        beat=_round(beat),
        downbeat=_round(downbeat),
        lengths=torch.div(lengths + pool - 1, pool, rounding_mode="floor"),
        tempo=None if tempo is None else _round(tempo),
        sounding=F.max_pool1d(log_mel_sounding_frames(log_mel, lengths).float(), pool) > 0,
    )


def _round(logits: Tensor) -> Tensor:
    return (logits.float() / LOGIT_STEP).round() * LOGIT_STEP


def mean_beat_probability(path: BarPath, beat: Tensor) -> float:
    """Mean probability of the beats of a path for (F,) logits; NaN without beats."""
    return float(beat[path.frames].sigmoid().mean())


def beat_times(path: BarPath, beat: Tensor, rate: float) -> NDArray[np.float64]:
    """(N,) times of the beats of a path in seconds, refined to the peaks of (F,) logits of beats at
    ``rate``."""
    # The path may miss a peak by one frame.
    shift = F.pad(beat, (1, 1), value=-math.inf).unfold(0, 3, 1)[path.frames].argmax(1) - 1
    frames = torch.from_numpy(path.frames) + shift
    times: NDArray[np.float64] = (
        frames + 0.5 + peak_offset(beat[None], frames[None])[0]
    ).double().numpy() / rate
    return times


def _grid(path: BarPath, beat: Tensor, duration: float, rate: float) -> Grid:
    """The grid of one clip from its path and its (F,) logits of beats."""
    count = len(path.frames)
    if count < 2 or mean_beat_probability(path, beat) < MIN_BEAT_PROBABILITY + FEW_BEATS_PENALTY / count:
        return fallback_grid(duration)
    times = beat_times(path, beat, rate)
    inside = times < duration
    if inside.sum() < 2:
        return fallback_grid(duration)
    confidence = BEAT_CALIBRATION.confidence(path.beat_margin, count)
    return Grid(
        times[inside],
        path.positions[inside],
        int(np.bincount(path.metres[inside]).argmax()),
        confidence,
        confidence * BAR_CALIBRATION.confidence(path.bar_margin, count),
    )

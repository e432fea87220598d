"""A metrical grid from the beat heads of a trained tower and from the rules, for a batch at once [O].

One decoder, :mod:`~motionbeat_upstream.beats.bar_pointer`, weighs the heads' activations together with the
evidence of the rules: accents in the log-mel, onsets in the bass, and the periodicity of both. For a tower
without heads :mod:`~motionbeat_upstream.beats.beat_estimation` has the rules alone.
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

from motionbeat_upstream.beats.accents import find_accents
from motionbeat_upstream.beats.bar_pointer import (
    ANY,
    BarPath,
    DecoderInput,
    Hints,
    decode_bars,
)
from motionbeat_upstream.beats.beat_estimation import peak_offset
from motionbeat_upstream.beats.grid import Grid, fallback_grid
from motionbeat_upstream.beats.metre import CONSTANT, standardise
from motionbeat_upstream.beats.tempo import tempo_scores
from motionbeat_upstream.config import ENVELOPE_RATE

LOGIT_STEP = 1e-3
"""Steps that logits are rounded to, so that the noise of a matrix product does not move beats."""

ACCENT = 1.0
"""Height of a peak of onsets and accents from which on it may be a beat, in their standard deviations."""

ACCENT_REACH, NEAR = 10, 3
"""Frames of 10 ms to either side that such a peak is the highest in, and that its bass is taken from."""

NO_PULSE = 0.1
"""Mean probability of the beats, by the heads, below which a clip has no pulse."""


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


BEATS = Calibration(scale=1.2, even=1.1)
"""Of the lead of the beats. Fitted to 160 clips of 8 s to 30 s of activations made as in the tests, of all
degrees of noise; right is an F-measure above 0.9. Fit it anew to the activations of a trained tower."""

BARS = Calibration(scale=0.8, even=0.15)
"""Of the lead of the bars, given the right beats; fitted likewise."""


@torch.no_grad()
def decode_grids(
    beat: Tensor,
    downbeat: Tensor,
    tempo: Tensor | None,
    activation: Tensor,
    log_mel: Tensor,
    lengths: Tensor,
    durations: Sequence[float],
    hints: Hints = ANY,
) -> list[Grid]:
    """Beats, bars and metre of each clip.

    Args:
        beat, downbeat, tempo, activation, log_mel, lengths: as in :func:`decoder_input`, the activation at
            100 Hz.
        durations: (B,) lengths of the clips in seconds.
        hints: range of tempi, and metres to choose from.

    Returns:
        One grid a clip, without beats in silences. Where there is no pulse it is
        :func:`~motionbeat_upstream.beats.grid.fallback_grid`, with confidence 0.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    given = decoder_input(beat, downbeat, tempo, activation, log_mel, lengths)
    rate = ENVELOPE_RATE * beat.shape[1] / activation.shape[1]
    paths = decode_bars(given, rate, hints=hints)
    clips = zip(paths, given.beat, given.lengths.tolist(), durations, strict=True)
    return [_grid(path, row[:count].cpu(), duration, rate) for path, row, count, duration in clips]


@torch.no_grad()
def decoder_input(
    beat: Tensor,
    downbeat: Tensor,
    tempo: Tensor | None,
    activation: Tensor,
    log_mel: Tensor,
    lengths: Tensor,
) -> DecoderInput:
    """Rounded logits, and the evidence of the rules at their rate.

    Args:
        beat: (B, F) logits of beats, downbeats included.
        downbeat: (B, F) logits of downbeats.
        tempo: (B, F, 32) logits of the tempo; None without such a head.
        activation: (B, k·F) onset envelope at 100 Hz for a whole k, at least 0, about 1 at its peaks.
        log_mel: (B, k·F, M) log-mel.
        lengths: (B,) frames of ``activation`` of each clip.
    """
    size = beat.shape[1]
    if activation.shape[1] % size or log_mel.shape[:2] != activation.shape or len(activation) != len(beat):
        raise ValueError(
            f"logits of shape {tuple(beat.shape)}, an activation of shape {tuple(activation.shape)} and a "
            f"log-mel of shape {tuple(log_mel.shape)} do not fit each other; expected as many rows, "
            f"activation and log-mel of one rate, and a whole number of their frames to one of the logits"
        )
    pool = activation.shape[1] // size
    accents = find_accents(activation, log_mel, lengths)
    mixed = accents.mixed
    peaks = (mixed > ACCENT) & (mixed >= _highest(mixed, ACCENT_REACH))
    # How far the bass at an accent differs from that at the others, in their standard deviations.
    bass = F.pad(standardise(_highest(accents.bass, NEAR), peaks, CONSTANT[1]), (NEAR, NEAR))
    return DecoderInput(
        beat=_rounded(beat),
        downbeat=_rounded(downbeat),
        lengths=torch.div(lengths + pool - 1, pool, rounding_mode="floor"),
        beat_scores=F.max_pool1d(mixed, pool),
        downbeat_scores=_strongest(_strongest(bass, 2 * NEAR + 1, 1), pool),
        tempo_scores=tempo_scores(accents, lengths)[:, ::pool],
        tempo_head=None if tempo is None else _rounded(tempo),
        sounding=F.max_pool1d(accents.sounding.float(), pool) > 0,
    )


def _rounded(logits: Tensor) -> Tensor:
    return (logits.float() / LOGIT_STEP).round() * LOGIT_STEP


def _highest(x: Tensor, reach: int) -> Tensor:
    """(B, F) the highest of (B, F) within ``reach`` frames."""
    return F.max_pool1d(x[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]


def _strongest(x: Tensor, size: int, stride: int | None = None) -> Tensor:
    """The number furthest from 0 in windows of ``size`` frames of (B, F)."""
    highest, lowest = F.max_pool1d(x, size, stride), -F.max_pool1d(-x, size, stride)
    return torch.where(highest >= -lowest, highest, lowest)


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
    if count < 2 or pulse(path, beat) < NO_PULSE:
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

"""The grid of music whose tempo is known and constant, and whose beats are not: phase and bars are heard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from motion_data.corpora.recordings.tatum import audio_onset_envelope
from motionbeat_upstream.config import ENVELOPE_RATE, SAMPLE_RATE
from motionbeat_upstream.tracking.beat_estimation import estimate_grid
from motionbeat_upstream.tracking.grid import Grid, regular_grid

SAME_TEMPO = 0.04
"""Share by which the tempo heard may differ from the known one and still be it."""

LEAST_LOCK = 0.2
"""Resultant length below which the beats heard are on the beat as often as between two."""


@dataclass(frozen=True)
class HeardGrid:
    """A grid of the known tempo, and how it came about."""

    grid: Grid
    """From the start of the audio to its end; its confidence is ``lock``."""
    beats_from: str
    """``beats``: the estimated beats agree with the tempo and gave the phase. ``onsets``: they do not, or
    no pulse was heard, and the onsets gave it."""
    bars_from: str
    """``downbeats``: estimated downbeats were voted on. ``start``: the first beat is taken for one."""
    lock: float
    """Resultant length in [0, 1] of beats (or onsets) on the circle of one beat: 1 is in step throughout."""
    heard_bpm: float
    """Tempo that was heard, before the known one took its place."""


def heard_grid(wav: Tensor, bpm: float, metre: int) -> HeardGrid:
    """Lay a grid of constant tempo onto audio [O].

    Beats and downbeats are estimated from the audio. Where the tempo heard is the known one, or half of
    it, within 4 %, and the beats keep step, their circular mean gives the phase, otherwise that of the
    onset envelope does. The estimated downbeats then vote for the beat that begins a bar.

    Args:
        wav: (T,) at 16 kHz.
        bpm: beats a minute.
        metre: beats a bar.
    """
    period = 60.0 / bpm
    seconds = len(wav) / SAMPLE_RATE
    heard = estimate_grid(wav)
    same_tempo = any(abs(heard.bpm * k / bpm - 1) <= SAME_TEMPO for k in (1, 2))
    phase, lock = _circular_mean(heard.beats, np.ones(len(heard.beats)), period)
    agrees = heard.confidence > 0 and same_tempo and lock >= LEAST_LOCK
    if not agrees:
        envelope = audio_onset_envelope(wav)
        phase, lock = _circular_mean((np.arange(len(envelope)) + 0.5) / ENVELOPE_RATE, envelope, period)
    first = _first_downbeat(heard, phase, period, metre) if agrees else None
    start = phase + period * (first or 0)
    return HeardGrid(
        regular_grid(
            seconds,
            bpm,
            metre,
            start,
            confidence=lock,
            downbeat_confidence=0.0 if first is None else min(lock, heard.downbeat_confidence),
        ),
        "beats" if agrees else "onsets",
        "start" if first is None else "downbeats",
        lock,
        heard.bpm if heard.confidence > 0 else 0.0,
    )


def _circular_mean(
    times: NDArray[np.float64], weights: NDArray[np.float64], period: float
) -> tuple[float, float]:
    """Mean of times modulo a period, in [0, period), and the resultant length."""
    total = weights.sum()
    if not total > 0:
        return 0.0, 0.0
    mean = (weights * np.exp(2j * np.pi * times / period)).sum() / total
    return float(np.angle(mean) / (2 * np.pi) % 1.0 * period), float(min(1.0, abs(mean)))


def _first_downbeat(heard: Grid, phase: float, period: float, metre: int) -> int | None:
    """Which of the beats from ``phase`` on begins a bar, by the vote of the downbeats heard; None if less
    than half of them agree. Where bars of half the length were heard, the earlier candidate is taken."""
    places = np.round((heard.downbeats - phase) / period).astype(np.int64) % metre
    votes = np.bincount(places, minlength=metre)
    return int(votes.argmax()) if 2 * votes.max() >= max(len(places), 1) else None

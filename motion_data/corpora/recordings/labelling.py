"""Beats and bars of a recording with known tatum, from a model's activations over the whole track [O].

Beats are a regular subset of the tatums. With logit l of a beat at a tatum, the log-likelihood of beats at
some tatums and none at the others is the sum of log σ(-l) over all tatums plus the sum of l over the beats;
candidates differ only in the second sum. The same holds for downbeats among the beats. The best candidate is
accepted if it leads the second best by a margin per tatum, or per beat for bars. An uncertain model has
negative logits even at correct beats, so that the sum favours slow tempi; ``TrackLabels.beat_logit`` shows
this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

ACTIVATION_RATE = 50.0
"""Frames of the activations per second; frame k is at (k + .5) / ACTIVATION_RATE seconds."""

MIN_BPM, MAX_BPM = 62.0, 205.0

BEAT_MARGIN = 0.04
"""Minimum lead of the best beats over the second best, in nats per tatum."""

BAR_MARGIN = 0.04
"""Minimum lead of the best bars over the second best, in nats per beat."""

MAX_LOGIT = 5.0
"""Logits are clipped to probabilities between .007 and .993, so that one frame cannot decide a track."""

REACH_FRAMES = 1
"""Frames on either side of a tatum whose maximum activation counts. Heads trained with widened or
shift-tolerant targets may peak a frame beside the beat; two frames would reach the next tatum at 12 Hz."""

METRES = (3, 4)
"""Candidates of beats per bar; also 2 (6/8) if a beat has three tatums."""

UNKNOWN_METRE = 4
"""Beats per bar if bars are unknown."""

MIN_BARS = 4
"""Shorter tracks are left out."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class TrackLabels:
    """Beats and bars of a track."""

    beats: Array
    """(N,) seconds."""
    positions: NDArray[np.int64]
    """(N,) position in the bar from 1; arbitrary if ``bars_known`` is false."""
    metre: int
    bars_known: bool
    tatums_a_beat: int
    beat_margin: float
    """Lead over the second best in nats per tatum."""
    bar_margin: float
    """Lead over the second best in nats per beat."""
    beat_logit: float
    """Mean logit at the beats."""

    @property
    def grid(self) -> Grid:
        """Beats with confidence 1, and bars with confidence 1 if they are known, otherwise 0."""
        return Grid(self.beats, self.positions, self.metre, 1.0, 1.0 if self.bars_known else 0.0)


def label_track(
    beat_logits: Array,
    downbeat_logits: Array,
    rate: float,
    phase: float,
    start: float,
    stop: float,
    beat_margin: float = BEAT_MARGIN,
    bar_margin: float = BAR_MARGIN,
) -> TrackLabels | str:
    """Label beats and bars, or return the reason to leave the track out.

    Args:
        beat_logits: (F,) at 50 Hz.
        downbeat_logits: (F,) at 50 Hz.
        rate: tatums per second.
        phase: time of any tatum in seconds.
        start: start of the sound in seconds; there are no labels before it.
        stop: end of the sound in seconds.
        beat_margin: minimum lead of beats in nats per tatum.
        bar_margin: minimum lead of bars in nats per beat.
    """
    tatums = tatum_times(rate, phase, start, min(stop, len(beat_logits) / ACTIVATION_RATE))
    return label_tatums(beat_logits, downbeat_logits, tatums, rate, beat_margin, bar_margin)


def label_tatums(
    beat_logits: Array,
    downbeat_logits: Array,
    tatums: Array,
    rate: float,
    beat_margin: float = BEAT_MARGIN,
    bar_margin: float = BAR_MARGIN,
) -> TrackLabels | str:
    """Select beats and downbeats among tatums, or return the reason to leave the track out.

    Args:
        beat_logits: (F,) at 50 Hz.
        downbeat_logits: (F,) at 50 Hz.
        tatums: (N,) seconds, within the logits.
        rate: typical number of tatums per second.
        beat_margin: minimum lead of beats in nats per tatum.
        bar_margin: minimum lead of bars in nats per beat.
    """
    levels = beat_levels(rate)
    if not levels:
        return f"no multiple of {60 * rate:.2f} tatums a minute lies at {MIN_BPM:g} to {MAX_BPM:g} bpm"
    beat_scores = _period_scores(_logits_at(beat_logits, tatums), levels)
    (level, first), lead = _best_and_lead(beat_scores)
    if lead < beat_margin:
        return (
            f"beats are ambiguous: {60 * rate / level:.1f} bpm leads by {lead:.3f} nats per tatum; expected "
            f"{beat_margin:g} or more"
        )
    beats = tatums[first::level]
    metres = (2, *METRES) if level % 3 == 0 else METRES
    if len(beats) < MIN_BARS * max(metres):
        return f"{len(beats)} beats; expected {MIN_BARS * max(metres)} or more"
    bar_scores = _period_scores(_logits_at(downbeat_logits, beats), metres)
    (metre, opening), bar_lead = _best_and_lead(bar_scores)
    known = bar_lead >= bar_margin
    if not known:
        metre, opening = UNKNOWN_METRE, 0
    positions = (np.arange(len(beats)) - opening) % metre + 1
    beat_logit = beat_scores[level, first] * len(tatums) / len(beats)
    return TrackLabels(beats, positions, metre, known, level, lead, bar_lead, beat_logit)


def tatum_times(rate: float, phase: float, start: float, stop: float) -> Array:
    """(N,) times of the tatums from ``start`` to ``stop``."""
    first, last = np.ceil((start - phase) * rate - 1e-9), np.floor((stop - phase) * rate + 1e-9)
    return phase + np.arange(first, last + 1) / rate


def beat_levels(rate: float) -> range:
    """Numbers of tatums per beat that give a tempo in range."""
    return range(int(np.ceil(60 * rate / MAX_BPM - 1e-9)), int(np.floor(60 * rate / MIN_BPM + 1e-9)) + 1)


def _logits_at(logits: Array, times: Array) -> Array:
    """(N,) clipped maximum logit within ``REACH_FRAMES`` of each time."""
    frames = np.floor(times * ACTIVATION_RATE).astype(np.int64)
    around = np.clip(frames[:, None] + np.arange(-REACH_FRAMES, REACH_FRAMES + 1), 0, len(logits) - 1)
    maximum: Array = np.clip(logits[around].max(1), -MAX_LOGIT, MAX_LOGIT)
    return maximum


def _period_scores(logits: Array, periods: range | tuple[int, ...]) -> Mapping[tuple[int, int], float]:
    """Log-likelihood of every period and phase relative to no beats, divided by the number of logits."""
    return {
        (period, phase): float(logits[phase::period].sum() / max(len(logits), 1))
        for period in periods
        for phase in range(period)
    }


def _best_and_lead(scores: Mapping[Key, float]) -> tuple[Key, float]:
    """Key of the highest score, and its lead over the second highest, or over 0 without a second."""
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    return ranked[0], scores[ranked[0]] - (scores[ranked[1]] if len(ranked) > 1 else 0.0)

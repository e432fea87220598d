"""Beats and bars of a recording with a known tatum, chosen by a model's activations over the whole track [O].

The tatum gives when beats can be, the activations say which tatums are beats. With logit l of a beat at a
tatum, the log-likelihood of "a beat at these tatums and none at the others" is the sum of log σ(-l) over all
tatums and of l over the beats; candidates differ by the second sum alone. The same holds for downbeats among
the beats. A choice counts where it beats the next best by a margin per tatum, or per beat for bars.
A model that is too unsure gives negative logits even at the beats it is right about; the sum then leans to
slow tempi, which have fewer beats. ``Labels.beat_logit`` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

ACTIVATION_RATE = 50.0
"""Frames of the activations a second; frame k stands for (k + .5) / ACTIVATION_RATE."""

MIN_BPM, MAX_BPM = 62.0, 205.0

BEAT_MARGIN = 0.04
"""Nats per tatum by which the best beats must beat the second best."""

BAR_MARGIN = 0.04
"""Nats per beat by which the best bars must beat the second best."""

MAX_LOGIT = 5.0
"""A tatum counts for a probability between .007 and .993: one frame cannot decide a track."""

REACH_FRAMES = 1
"""Frames to either side of a tatum's own whose largest activation counts. Heads trained with widened or
shift-tolerant targets may peak a frame beside the beat; two frames would reach the next tatum at 12 a
second."""

METRES = (3, 4)
"""Beats a bar that are tried; where beats are made of three tatums, 2 (6/8) as well."""

UNKNOWN_METRE = 4
"""Beats a bar that are counted where bars are not known."""

MIN_BARS = 4
"""A shorter track has no bars to speak of."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class TrackLabels:
    """What was chosen for a track."""

    beats: Array
    """(N,) seconds."""
    positions: NDArray[np.int64]
    """(N,) position in the bar from 1; arbitrary where ``bars_known`` is false."""
    metre: int
    bars_known: bool
    tatums_a_beat: int
    beat_margin: float
    """Nats per tatum to the second best."""
    bar_margin: float
    """Nats per beat to the second best."""
    beat_logit: float
    """Mean logit at the beats."""

    @property
    def grid(self) -> Grid:
        """Beats with confidence 1, and bars with confidence 1 where they are known, else 0."""
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
    """Choose beats and bars, or say why the track has to be left out.

    Args:
        beat_logits: (F,) at 50 Hz.
        downbeat_logits: (F,) likewise.
        rate: tatums a second.
        phase: seconds of any tatum.
        start: seconds at which the track begins to sound; nothing before it is asked for or labelled.
        stop: seconds at which it ends.
        beat_margin: nats per tatum by which beats must win.
        bar_margin: nats per beat by which bars must win.
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
    """Choose which of some tatums are beats and downbeats, or say why the track has to be left out.

    Args:
        beat_logits: (F,) at 50 Hz.
        downbeat_logits: (F,) likewise.
        tatums: (N,) seconds, as far as there are logits.
        rate: tatums a second, most of the time.
        beat_margin: nats per tatum by which beats must win.
        bar_margin: nats per beat by which bars must win.
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
    """(N,) seconds of the tatums from ``start`` to ``stop``."""
    first, last = np.ceil((start - phase) * rate - 1e-9), np.floor((stop - phase) * rate + 1e-9)
    return phase + np.arange(first, last + 1) / rate


def beat_levels(rate: float) -> range:
    """Tatums a beat that give a tempo in range."""
    return range(int(np.ceil(60 * rate / MAX_BPM - 1e-9)), int(np.floor(60 * rate / MIN_BPM + 1e-9)) + 1)


def _logits_at(logits: Array, times: Array) -> Array:
    """(N,) the largest logit within ``REACH_FRAMES`` frames of each time, limited."""
    frames = np.floor(times * ACTIVATION_RATE).astype(np.int64)
    around = np.clip(frames[:, None] + np.arange(-REACH_FRAMES, REACH_FRAMES + 1), 0, len(logits) - 1)
    found: Array = np.clip(logits[around].max(1), -MAX_LOGIT, MAX_LOGIT)
    return found


def _period_scores(logits: Array, periods: range | tuple[int, ...]) -> Mapping[tuple[int, int], float]:
    """Log-likelihood per place of every period and phase, less that of "none"."""
    return {
        (period, phase): float(logits[phase::period].sum() / max(len(logits), 1))
        for period in periods
        for phase in range(period)
    }


def _best_and_lead(scores: Mapping[Key, float]) -> tuple[Key, float]:
    """The key of the highest score, and its lead over the second; over 0 where there is no second."""
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    return ranked[0], scores[ranked[0]] - (scores[ranked[1]] if len(ranked) > 1 else 0.0)

"""Drawing of the negatives of a batch.

- *Other*: the motion of a pair of similar tempo, of another piece and take, aligned beat by beat with
  the grid of this music, in another bar phase or with other accents [S].
- *Stretched*: the paired motion, slower or faster [O].
- *Jittered*: the paired motion, shifted by a whole beat [S], a half or a quarter [O].

Candidates that do not differ from the paired motion (see :mod:`~motion_data.negatives.descriptor`) and those
that exceed the known motion are rejected, so a clip may get fewer negatives than requested. Clips should have
a margin of motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.negatives.descriptor import (
    BINS_PER_BEAT,
    MIN_ACCENT_DIFFERENCE_BEATS,
    MIN_RHYTHM_DIFFERENCE,
    RATE,
    Descriptor,
    accent_difference,
    rhythm_difference,
)
from motion_data.negatives.recipe import Negative, to_source_time
from motionbeat_upstream.tracking.grid import Grid, beats_to_time

SHIFTS_BEATS = (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0)
"""Shifts of a motion: whole beats are from the paper [S], parts are ours [O]."""

STRETCH_RANGE = (0.75, 1.33)
"""Range of the factor of a motion's length."""

MIN_STRETCH_CHANGE = 0.04
"""Factors closer to 1 are too small a change."""

TRIES_PER_STRETCH = 8
"""Maximum number of draws for each stretched negative."""


@dataclass(frozen=True)
class NegativeCounts:
    """Number of negatives of each kind per clip."""

    jittered: int = 2
    """At most six, one for each of ``SHIFTS_BEATS``."""
    stretched: int = 1
    others: int = 1
    tempo_octaves: float = 0.15
    """Maximum difference of tempo of others in octaves, δ; 0.15 is 11 %."""


def negative_mask(pieces: Sequence[str | int], takes: Sequence[str | int]) -> NDArray[np.bool_]:
    """Return (B, B), true at i, j if motion j may be a negative of music i: they share no piece and take."""
    piece = np.unique(np.array(pieces), return_inverse=True)[1]
    take = np.unique(np.array(takes), return_inverse=True)[1]
    mask: NDArray[np.bool_] = (piece[:, None] != piece) & (take[:, None] != take)
    return mask


def draw_negatives(
    batch: Sequence[Descriptor], rng: np.random.Generator, counts: NegativeCounts = NegativeCounts()
) -> list[tuple[Negative, ...]]:
    """Draw the negatives of each clip; deterministic for a batch and generator state.

    Returns:
        The recipes of each clip. Their ``source`` is an index into ``batch``.
    """
    allowed = negative_mask([clip.piece for clip in batch], [clip.take for clip in batch])
    drawn = []
    for row, clip in enumerate(batch):
        candidates = rng.permutation(np.flatnonzero(allowed[row]))
        negatives = [
            *_draw_jittered(row, clip, rng, counts.jittered),
            *_draw_stretched(row, clip, rng, counts.stretched),
            *_draw_others(clip, batch, candidates, rng, counts),
        ]
        drawn.append(tuple(negatives))
    return drawn


def _draw_jittered(row: int, clip: Descriptor, rng: np.random.Generator, count: int) -> list[Negative]:
    negatives: list[Negative] = []
    for shift in rng.permutation(SHIFTS_BEATS).tolist():
        if len(negatives) == count:
            break
        negative = _aligned_negative("jittered", row, shift, clip, clip, -shift)
        if _has_other_rhythm(negative, clip) and _within_motion(negative, clip):
            negatives.append(negative)
    return negatives


def _draw_stretched(row: int, clip: Descriptor, rng: np.random.Generator, count: int) -> list[Negative]:
    negatives: list[Negative] = []
    for _ in range(TRIES_PER_STRETCH * count):
        if len(negatives) == count:
            break
        factor = float(np.exp(rng.uniform(*np.log(STRETCH_RANGE))))
        # The fixed point of the stretch, drawn even if it is not used, so that each try draws two numbers.
        anchor = float(rng.uniform(0, clip.duration))
        if abs(factor - 1) <= MIN_STRETCH_CHANGE:
            continue
        ends = np.array([0.0, clip.duration])
        source = anchor + (ends - anchor) / factor
        negative = Negative(
            "stretched", row, factor, tuple(ends.tolist()), tuple(source.tolist()), clip.duration
        )
        if _has_other_rhythm(negative, clip) and _within_motion(negative, clip):
            negatives.append(negative)
    return negatives


def _draw_others(
    clip: Descriptor,
    batch: Sequence[Descriptor],
    candidates: NDArray[np.int64],
    rng: np.random.Generator,
    counts: NegativeCounts,
) -> list[Negative]:
    negatives: list[Negative] = []
    for source in candidates.tolist():
        if len(negatives) == counts.others:
            break
        other = batch[source]
        metre = clip.grid.metre
        if other.grid.metre != metre:
            continue
        if abs(np.log2(other.grid.bpm / clip.grid.bpm)) > counts.tempo_octaves:
            continue
        for shift in rng.permutation(metre).tolist():
            shifted = np.roll(other.accents, shift * BINS_PER_BEAT)
            if accent_difference(clip.accents, shifted) > MIN_ACCENT_DIFFERENCE_BEATS:
                offset = _bar_offset(clip, other) - shift
                negative = _aligned_negative("other", source, float(shift), clip, other, offset)
                if _within_motion(negative, other):
                    negatives.append(negative)
                    break
    return negatives


def _within_motion(negative: Negative, source: Descriptor) -> bool:
    """Whether a negative uses only known motion of its source: a frozen pose would be easy to recognise."""
    first, last = to_source_time(negative, np.array([0.0, negative.duration]))
    return bool(source.motion_span[0] <= first and last <= source.motion_span[1])


def _has_other_rhythm(negative: Negative, clip: Descriptor) -> bool:
    clock = np.arange(clip.rhythm.shape[1]) / RATE
    return rhythm_difference(clip, to_source_time(negative, clock)) > MIN_RHYTHM_DIFFERENCE


def _aligned_negative(
    kind: str, source: int, amount: float, clip: Descriptor, other: Descriptor, offset: float
) -> Negative:
    """Create a negative that maps beat b of the clip to beat b + ``offset`` of the other."""
    first, last = clip.beats
    # The knots are the beats of both grids. An additional beat at either end continues the tempo.
    whole = np.arange(np.floor(first) - 1, np.ceil(last) + 2)
    knots = np.unique(np.concatenate([whole, np.arange(whole[0], whole[-1]) - offset % 1 + 1]))
    return Negative(
        kind,
        source,
        amount,
        tuple(beats_to_time(clip.grid, knots).tolist()),
        tuple(beats_to_time(other.grid, knots + offset).tolist()),
        clip.duration,
    )


def _bar_offset(clip: Descriptor, other: Descriptor) -> int:
    """Offset in beats that aligns the bars of two clips, with their centres as close as possible."""
    between = float(np.mean(other.beats) - np.mean(clip.beats))
    phase = _first_beat_in_bar(other.grid) - _first_beat_in_bar(clip.grid)
    metre = clip.grid.metre
    return round((between + phase) / metre) * metre - phase


def _first_beat_in_bar(grid: Grid) -> int:
    """Position of the grid's first beat in its bar, from 0, modulo the metre."""
    downbeats = np.flatnonzero(grid.positions == 1)
    return -int(downbeats[0]) if len(downbeats) else int(grid.positions[0]) - 1

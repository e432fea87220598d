"""Which negatives each clip of a batch gets.

- *Other*: the motion of a pair of similar tempo, of another piece and another take, laid beat by
  beat on this music's grid, in another bar phase or with other accents [S].
- *Stretched*: the paired motion, slower or faster [O].
- *Jittered*: the paired motion, moved by a whole beat [S], a half or a quarter [O].

What would be no negative is left out (see :mod:`~motion_data.negatives.descriptor`), and so is what reaches
beyond the known motion: a clip may get fewer than were asked for. Give clips with motion around them.
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
"""Beats by which a motion is moved: whole ones are the paper's [S], parts are ours [O]."""

STRETCH_RANGE = (0.75, 1.33)
"""Range of factors that a motion's length is multiplied by."""

MIN_STRETCH_CHANGE = 0.04
"""A factor within so much of 1 is too small a change to be told."""

TRIES_PER_STRETCH = 8
"""Stretches drawn for one, before none is given."""


@dataclass(frozen=True)
class NegativeCounts:
    """How many negatives of each kind a clip is to get."""

    jittered: int = 2
    """Of at most six, one for each of ``SHIFTS_BEATS``."""
    stretched: int = 1
    others: int = 1
    similar: float = 0.15
    """Octaves by which the tempo of others may differ, δ; 0.15 is 11 %."""


def negative_mask(pieces: Sequence[str | int], takes: Sequence[str | int]) -> NDArray[np.bool_]:
    """(B, B) true at i, j where motion j may be a negative of music i: another piece and another take."""
    numbers = [np.unique(np.array(names), return_inverse=True)[1] for names in (pieces, takes)]
    mask: NDArray[np.bool_] = np.logical_and(*(number[:, None] != number for number in numbers))
    return mask


def draw_negatives(
    batch: Sequence[Descriptor], rng: np.random.Generator, wanted: NegativeCounts = NegativeCounts()
) -> list[tuple[Negative, ...]]:
    """Draw the negatives of every clip; the same for the same batch and generator.

    Returns:
        One for each clip. ``source`` in a recipe counts the clips of ``batch``.
    """
    allowed = negative_mask([clip.piece for clip in batch], [clip.take for clip in batch])
    drawn = []
    for row, clip in enumerate(batch):
        candidates = rng.permutation(np.flatnonzero(allowed[row]))
        negatives = [
            *_draw_jittered(row, clip, rng, wanted),
            *_draw_stretched(row, clip, rng, wanted),
            *_draw_others(clip, batch, candidates, rng, wanted),
        ]
        drawn.append(tuple(negatives))
    return drawn


def _draw_jittered(
    row: int, clip: Descriptor, rng: np.random.Generator, wanted: NegativeCounts
) -> list[Negative]:
    found: list[Negative] = []
    for shift in rng.permutation(SHIFTS_BEATS).tolist():
        if len(found) == wanted.jittered:
            break
        negative = _aligned_negative("jittered", row, shift, clip, clip, -shift)
        if _has_other_rhythm(negative, clip) and _within_motion(negative, clip):
            found.append(negative)
    return found


def _draw_stretched(
    row: int, clip: Descriptor, rng: np.random.Generator, wanted: NegativeCounts
) -> list[Negative]:
    found: list[Negative] = []
    for _ in range(TRIES_PER_STRETCH * wanted.stretched):
        if len(found) == wanted.stretched:
            break
        factor = float(np.exp(rng.uniform(*np.log(STRETCH_RANGE))))
        # The moment that keeps its place; drawn in any case, so that each try takes two numbers.
        anchor = float(rng.uniform(0, clip.duration))
        if abs(factor - 1) <= MIN_STRETCH_CHANGE:
            continue
        ends = np.array([0.0, clip.duration])
        seen = anchor + (ends - anchor) / factor
        negative = Negative(
            "stretched", row, factor, tuple(ends.tolist()), tuple(seen.tolist()), clip.duration
        )
        if _has_other_rhythm(negative, clip) and _within_motion(negative, clip):
            found.append(negative)
    return found


def _draw_others(
    clip: Descriptor,
    batch: Sequence[Descriptor],
    candidates: NDArray[np.int64],
    rng: np.random.Generator,
    wanted: NegativeCounts,
) -> list[Negative]:
    found: list[Negative] = []
    for source in candidates.tolist():
        if len(found) == wanted.others:
            break
        other = batch[source]
        metre = clip.grid.metre
        if other.grid.metre != metre or abs(np.log2(other.grid.bpm / clip.grid.bpm)) > wanted.similar:
            continue
        for shift in rng.permutation(metre).tolist():
            moved = np.roll(other.accents, shift * BINS_PER_BEAT)
            if accent_difference(clip.accents, moved) > MIN_ACCENT_DIFFERENCE_BEATS:
                offset = _bar_offset(clip, other) - shift
                negative = _aligned_negative("other", source, float(shift), clip, other, offset)
                if _within_motion(negative, other):
                    found.append(negative)
                    break
    return found


def _within_motion(negative: Negative, source: Descriptor) -> bool:
    """Whether all that is seen of the source is known: frozen motion is told at a glance."""
    first, last = to_source_time(negative, np.array([0.0, negative.duration]))
    return bool(source.motion_span[0] <= first and last <= source.motion_span[1])


def _has_other_rhythm(negative: Negative, clip: Descriptor) -> bool:
    clock = np.arange(clip.rhythm.shape[1]) / RATE
    return rhythm_difference(clip, to_source_time(negative, clock)) > MIN_RHYTHM_DIFFERENCE


def _aligned_negative(
    kind: str, source: int, amount: float, clip: Descriptor, other: Descriptor, offset: float
) -> Negative:
    """Beat b of the clip sees beat b + ``offset`` of the other, and time between beats likewise."""
    first, last = clip.beats
    # At both grids' beats the map may bend; a beat more at either end holds the tempo there.
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
    """Beats from one count to the other such that bars fall on bars, and the clips' middles together."""
    between = float(np.mean(other.beats) - np.mean(clip.beats))
    phase = _first_beat_in_bar(other.grid) - _first_beat_in_bar(clip.grid)
    metre = clip.grid.metre
    return round((between + phase) / metre) * metre - phase


def _first_beat_in_bar(grid: Grid) -> int:
    """Place of the grid's first beat in its bar, from 0, or the same less a bar, by the first downbeat."""
    downbeats = np.flatnonzero(grid.positions == 1)
    return -int(downbeats[0]) if len(downbeats) else int(grid.positions[0]) - 1

"""Estimate of a module's beats from its patterns and notes, without its sound [O].

Rows have a fixed length, but the number of rows per beat is not stored. Beats count as known if the module's
structure and a model's activations, which are independent, select the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.modules.libopenmpt import PlayedModule

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_STEADY_SHARE = 0.95
"""Minimum share of rows with the median length."""

ROW_LENGTH_TOLERANCE = 0.02
"""Relative tolerance of row lengths, in addition to 1 ms."""

MAX_TATUM_RATE = 12.0
"""Maximum number of tatums per second; of shorter rows every second, third, … is a tatum."""

MIN_STARTS_ON_BEATS = 0.9
"""Minimum share of pattern starts on beats, and on downbeats if bars are known."""

MIN_CONTRAST = 0.1
"""Minimum surplus of notes on beats, as a share of the mean of all tatums."""

TICKS_PER_BEAT = 24
"""Ticks per beat if the tempo value is the tempo in bpm, as is usual."""

MAX_NOTES = 4
"""Maximum number of notes per row that count."""


@dataclass(frozen=True)
class Tatums:
    """Tatums of a module: its rows, or every k-th row."""

    times: Array
    """(N,) seconds."""
    rate: float
    """Typical number of tatums per second."""
    rows_each: int
    """Rows per tatum."""
    first_row: int
    """Index of the played row at the first tatum."""
    starts: Ints
    """(M,) indices of tatums at which patterns begin."""
    notes: Array
    """(N,) number of notes that begin, at most ``MAX_NOTES``."""
    usual: float
    """Tatums per beat if the tempo value is the tempo in bpm."""


def steady_share(times: Array) -> float:
    """Share of rows with the median length, from their (N,) times; 0 for N < 3."""
    lengths = np.diff(times)
    if len(lengths) < 2:
        return 0.0
    median = float(np.median(lengths))
    return float((np.abs(lengths - median) <= ROW_LENGTH_TOLERANCE * median + 0.001).mean())


def find_tatums(played: PlayedModule) -> Tatums:
    """Tatums of a module with steady rows, at most 12 per second and aligned with the pattern starts."""
    row = float(np.median(np.diff(played.times)))
    starts = np.flatnonzero(np.diff(played.orders, prepend=-1))
    each = max(1, int(np.ceil(1 / row / MAX_TATUM_RATE - 1e-3)))
    phase = 0
    # Use a number of rows that fits the patterns, nearly always 1 or 2.
    for count in range(each, 2 * each + 1):
        phases = np.bincount(starts % count, minlength=count)
        if phases.max() >= MIN_STARTS_ON_BEATS * len(starts):
            each, phase = count, int(phases.argmax())
            break
    speed = int(np.bincount(played.speeds).argmax())
    starts_on_tatums = starts[starts % each == phase]
    return Tatums(
        played.times[phase::each],
        1 / row / each,
        each,
        phase,
        (starts_on_tatums - phase) // each,
        np.minimum(played.notes[phase::each], MAX_NOTES).astype(np.float64),
        TICKS_PER_BEAT / speed / each,
    )


def estimate_beats(tatums: Tatums, levels: range) -> tuple[int, int] | None:
    """Tatums per beat and tatum of the first beat; None if the structure is ambiguous.

    Patterns must begin on beats, and more notes must begin on beats than at any other phase. Of the
    candidates, the one whose tempo is nearest to the module's tempo value is selected.

    Args:
        tatums: of the module.
        levels: candidates of tatums per beat.
    """
    candidates = []
    for level in levels:
        phases = np.bincount(tatums.starts % level, minlength=level)
        first = int(phases.argmax())
        if phases[first] < MIN_STARTS_ON_BEATS * len(tatums.starts):
            continue
        density = np.array([tatums.notes[phase::level].mean() for phase in range(level)])
        others = np.delete(density, first)
        contrast = (density[first] - others.mean()) / max(tatums.notes.mean(), 1e-9) if len(others) else 1.0
        if density[first] >= density.max() and contrast >= MIN_CONTRAST:
            candidates.append((abs(float(np.log2(level / tatums.usual))), level, first))
    return min(candidates)[1:] if candidates else None


def share_of_starts(tatums: Tatums, downbeats: Array) -> float:
    """Share of the pattern starts, from the first downbeat on, that are downbeats."""
    times = tatums.times[tatums.starts]
    later = times[times >= downbeats[0] - 1e-6] if len(downbeats) else times[:0]
    if not len(later):
        return 0.0
    return float((np.abs(later[:, None] - downbeats).min(axis=1) < 1e-6).mean())

"""Which rows of a module are beats by what its author wrote, without its sound [O].

Rows have a fixed length, but nothing says how many make a beat. Beats are taken for known where the module's
own structure and a model's activations, which know nothing of each other, choose the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.modules.libopenmpt import PlayedModule

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_STEADY_SHARE = 0.95
"""Share of a module's rows that must have one length."""

ROW_LENGTH_TOLERANCE = 0.02
"""Share by which rows of one length may differ, beside the millisecond to which they are known."""

MAX_TATUM_RATE = 12.0
"""Tatums a second: of shorter rows every second, third … is a tatum."""

MIN_STARTS_ON_BEATS = 0.9
"""Share of the pattern starts that must be beats, and downbeats where bars are known."""

MIN_CONTRAST = 0.1
"""By how much more notes must begin at beats than elsewhere, as a share of the mean of all tatums."""

TICKS_PER_BEAT = 24
"""Of a module whose tempo value is its tempo in beats a minute, as authors like to choose it."""

MAX_NOTES = 4
"""Notes of a row that count."""


@dataclass(frozen=True)
class Tatums:
    """The rows, or every k-th row, of a module."""

    times: Array
    """(N,) seconds."""
    rate: float
    """Tatums a second, most of the time."""
    rows_each: int
    first_row: int
    """Which of the played rows is the first tatum."""
    starts: Ints
    """(M,) which tatums begin a pattern."""
    notes: Array
    """(N,) notes that begin, at most ``MAX_NOTES``."""
    usual: float
    """Tatums a beat where the tempo value is the tempo in beats a minute."""


def steady_share(times: Array) -> float:
    """Share of rows that are as long as the median row, from the (N,) seconds of all; 0 for N < 3."""
    lengths = np.diff(times)
    if len(lengths) < 2:
        return 0.0
    usual = float(np.median(lengths))
    return float((np.abs(lengths - usual) <= ROW_LENGTH_TOLERANCE * usual + 0.001).mean())


def find_tatums(played: PlayedModule) -> Tatums:
    """The tatums of a module with steady rows: no more than 12 a second, in step with the pattern starts."""
    row = float(np.median(np.diff(played.times)))
    starts = np.flatnonzero(np.diff(played.orders, prepend=-1))
    each = max(1, int(np.ceil(1 / row / MAX_TATUM_RATE - 1e-3)))
    phase = 0
    # Some number of rows that fits the patterns; 1 and 2 do nearly always.
    for count in range(each, 2 * each + 1):
        found = np.bincount(starts % count, minlength=count)
        if found.max() >= MIN_STARTS_ON_BEATS * len(starts):
            each, phase = count, int(found.argmax())
            break
    speed = int(np.bincount(played.speeds).argmax())
    on = starts[starts % each == phase]
    return Tatums(
        played.times[phase::each],
        1 / row / each,
        each,
        phase,
        (on - phase) // each,
        np.minimum(played.notes[phase::each], MAX_NOTES).astype(np.float64),
        TICKS_PER_BEAT / speed / each,
    )


def estimate_beats(tatums: Tatums, levels: range) -> tuple[int, int] | None:
    """Tatums a beat and the first beat's tatum; None where the structure says nothing.

    Of all choices where patterns begin on beats, and more notes on beats than between them at any other
    phase, the one is taken whose tempo is nearest to the module's tempo value.

    Args:
        tatums: of the module.
        levels: tatums a beat that may be.
    """
    fitting = []
    for level in levels:
        phases = np.bincount(tatums.starts % level, minlength=level)
        first = int(phases.argmax())
        if phases[first] < MIN_STARTS_ON_BEATS * len(tatums.starts):
            continue
        density = np.array([tatums.notes[phase::level].mean() for phase in range(level)])
        others = np.delete(density, first)
        contrast = (density[first] - others.mean()) / max(tatums.notes.mean(), 1e-9) if len(others) else 1.0
        if density[first] >= density.max() and contrast >= MIN_CONTRAST:
            fitting.append((abs(float(np.log2(level / tatums.usual))), level, first))
    return min(fitting)[1:] if fitting else None


def share_of_starts(tatums: Tatums, chosen: Array) -> float:
    """Share of the pattern starts, from the first of some times on, that are among these times."""
    times = tatums.times[tatums.starts]
    later = times[times >= chosen[0] - 1e-6] if len(chosen) else times[:0]
    if not len(later):
        return 0.0
    return float((np.abs(later[:, None] - chosen).min(axis=1) < 1e-6).mean())

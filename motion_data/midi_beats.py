"""The beats of a MIDI file: by its own tempi and time signatures, or by POP909's annotation beside it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.beats_file import Beats
from motion_data.errors import DataError
from motion_data.midi_file import read_score, ticks_to_seconds

MAX_BEATS = 100_000
"""Beats of one file; with more its times are taken for damage."""


def midi_beats(midi: Path) -> Beats:
    """The grid of a MIDI file's tempi and time signatures, from its first note to its last.

    Where the numerator is a multiple of 3 above 3, as in 6/8, three of its units make a beat. A time
    signature begins a bar; before the first it is 4/4.

    Raises:
        DataError: not MIDI, no notes, or a time signature or length that cannot be.
    """
    score = read_score(midi)
    starts = note_starts(score, midi)
    marks = {0: (4, 4)}
    for mark in score.time_signatures:
        if mark.numerator < 1 or mark.denominator < 1:
            raise DataError(
                f"{midi}: a time signature of {mark.numerator}/{mark.denominator}; leave the file out"
            )
        marks[mark.time] = (mark.numerator, mark.denominator)
    # A beat beyond the last note may still be within its reach.
    end = int(starts.max()) + 4 * score.ticks_per_quarter
    bounds = sorted([*(tick for tick in marks if tick < end), end])
    ticks, positions = [], []
    for begin, stop in pairwise(bounds):
        numerator, denominator = marks[begin]
        units = 3 if numerator % 3 == 0 and numerator > 3 else 1
        length = units * 4 * score.ticks_per_quarter / denominator
        if (stop - begin) / length > MAX_BEATS:
            raise DataError(f"{midi}: more than {MAX_BEATS:,} beats; the file is damaged, leave it out")
        ticks.append(np.arange(begin, stop, length))
        positions.append(np.arange(len(ticks[-1])) % (numerator // units) + 1)
    beats = Beats(ticks_to_seconds(score, np.concatenate(ticks)), np.concatenate(positions))
    return _crop_to_notes(beats, ticks_to_seconds(score, starts), midi)


def pop909_beats(path: Path) -> Beats:
    """The beats of POP909's beat_midi.txt (time, half-bar mark, downbeat mark) while there are notes."""
    try:
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of numbers ({error}); fetch it again") from error
    if table.shape[1] != 3 or not np.isfinite(table).all():
        raise DataError(f"{path}: expected three columns of finite numbers, got {table.shape[1]} columns")
    downbeat = table[:, 2] == 1
    since = np.maximum.accumulate(np.where(downbeat, np.arange(len(table)), -1))
    positions = np.where(since >= 0, np.arange(len(table)) - since + 1, 0)
    midi = path.with_name(f"{path.parent.name}.mid")
    score = read_score(midi)
    return _crop_to_notes(
        check_increasing(Beats(table[:, 0], positions), path),
        ticks_to_seconds(score, note_starts(score, midi)),
        midi,
    )


def note_starts(score: Any, midi: Path) -> NDArray[np.int64]:
    """(N,) ticks at which the notes of a score begin, N at least 1.

    Raises:
        DataError: it has no notes.
    """
    starts = [track.notes.numpy()["time"] for track in score.tracks if len(track.notes)]
    if not starts:
        raise DataError(f"{midi}: has no notes; leave it out")
    return np.asarray(np.concatenate(starts).astype(np.int64))


def _crop_to_notes(beats: Beats, starts: NDArray[np.float64], midi: Path) -> Beats:
    """The beats from the first note's start to the last one's: before and after there is nothing to hear."""
    # A beat may be played a little early or late.
    inside = (beats.times >= starts.min() - 0.07) & (beats.times <= starts.max() + 0.07)
    return check_increasing(Beats(beats.times[inside], beats.positions[inside]), midi)


def check_increasing(beats: Beats, path: Path) -> Beats:
    """The beats, of which each must come after the one before; ``path`` is theirs, for the message."""
    if not (np.diff(beats.times) > 0).all():
        raise DataError(f"{path}: its beats do not increase in time; the file is damaged, leave it out")
    return beats

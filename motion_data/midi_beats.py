"""Beats of a MIDI file, from its tempi and time signatures, or from POP909's annotation beside it."""

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
"""Files with more beats count as damaged."""


def midi_beats(midi: Path) -> Beats:
    """Beats of a MIDI file's tempi and time signatures, from its first note to its last.

    If the numerator is a multiple of 3 above 3, as in 6/8, a beat has three of its units. A time signature
    begins a bar; the default is 4/4.

    Raises:
        DataError: the file is not MIDI, has no notes, or has an invalid time signature or length.
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
    # A beat shortly after the last note may belong to it.
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
    """Beats of POP909's beat_midi.txt (time, half-bar and downbeat mark), from the first to the last note."""
    try:
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table of numbers ({error}); fetch it again") from error
    if table.shape[1] != 3 or not np.isfinite(table).all():
        raise DataError(f"{path}: expected three columns of finite numbers, got {table.shape[1]} columns")
    downbeat = table[:, 2] == 1
    last_downbeat = np.maximum.accumulate(np.where(downbeat, np.arange(len(table)), -1))
    positions = np.where(last_downbeat >= 0, np.arange(len(table)) - last_downbeat + 1, 0)
    midi = path.with_name(f"{path.parent.name}.mid")
    score = read_score(midi)
    return _crop_to_notes(
        check_increasing(Beats(table[:, 0], positions), path),
        ticks_to_seconds(score, note_starts(score, midi)),
        midi,
    )


def note_starts(score: Any, midi: Path) -> NDArray[np.int64]:
    """(N,) onsets of the notes of a score in ticks, N at least 1.

    Raises:
        DataError: the score has no notes.
    """
    starts = [track.notes.numpy()["time"] for track in score.tracks if len(track.notes)]
    if not starts:
        raise DataError(f"{midi}: has no notes; leave it out")
    return np.asarray(np.concatenate(starts).astype(np.int64))


def _crop_to_notes(beats: Beats, starts: NDArray[np.float64], midi: Path) -> Beats:
    """Remove beats before the first note's onset and after the last one's."""
    # Notes may be slightly early or late.
    inside = (beats.times >= starts.min() - 0.07) & (beats.times <= starts.max() + 0.07)
    return check_increasing(Beats(beats.times[inside], beats.positions[inside]), midi)


def check_increasing(beats: Beats, path: Path) -> Beats:
    """Return beats whose times increase; ``path`` names the file in the message.

    Raises:
        DataError: the times do not increase.
    """
    if not (np.diff(beats.times) > 0).all():
        raise DataError(f"{path}: its beats do not increase in time; the file is damaged, leave it out")
    return beats

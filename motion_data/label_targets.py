"""Labels as targets of frames, for losses and tasks.

Frame k holds the seconds from k to k + 1 frames, as in
:func:`~motion_data.pipeline.beat_targets.frame_targets`. What lasts is there in each frame that it shares
with; what begins is there in the one frame in which it begins. So a stretch that is cut at a frame has the
targets that the whole has there. Pitches that are no whole numbers go to the nearest one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.labels import DRUMS, KINDS, MODES, QUALITIES, SECTIONS, Labels

RATE = 50.0
"""Frames a second, those of the towers."""

EDGE_TOLERANCE_FRAMES = 1e-6
"""Frames by which a time may miss the edge of a frame and still stand on it."""

NUM_PITCHES, NUM_FAMILIES, NO_CHORD, UNKNOWN = 128, 16, 12, -1

Bools = NDArray[np.bool_]
Classes = NDArray[np.int64]


def pitch_roll(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """(F, 128) whether each MIDI pitch sounds."""
    rows = _rows(labels, "notes")
    return _active_frames(rows, _pitch(rows), NUM_PITCHES, frames, rate)


def pitch_onsets(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """(F, 128) whether a note of each MIDI pitch begins."""
    rows = _rows(labels, "notes")
    return _onset_frames(rows, _pitch(rows), NUM_PITCHES, frames, rate)


def pitch_classes(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """(F, 12) whether each pitch class sounds, from C upwards."""
    rows = _rows(labels, "notes")
    return _active_frames(rows, _pitch(rows) % 12, 12, frames, rate)


def program_families(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """(F, 16) whether a program of each family of eight of General MIDI sounds."""
    rows = _rows(labels, "notes")
    return _active_frames(rows, _column(rows, "notes", "program") // 8, NUM_FAMILIES, frames, rate)


def drum_onsets(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """(F, 6) whether a drum of each class of :data:`~motion_data.labels.DRUMS` is struck."""
    rows = _rows(labels, "drums")
    return _onset_frames(rows, _column(rows, "drums", "class"), len(DRUMS), frames, rate)


def chord_roots(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """(F,) pitch class of the root of the chord that sounds, 12 where none sounds, -1 where it is unknown.

    In the frame of a change it is the later chord's, here and in the functions below.
    """
    rows = _rows(labels, "chords")
    silent = _column(rows, "chords", "quality") == QUALITIES.index("none")
    return _frame_classes(rows, np.where(silent, NO_CHORD, _pitch(rows) % 12), frames, rate)


def chord_qualities(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """(F,) index into :data:`~motion_data.labels.QUALITIES`, -1 where it is unknown."""
    rows = _rows(labels, "chords")
    return _frame_classes(rows, _column(rows, "chords", "quality"), frames, rate)


def key_tonics(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """(F,) pitch class of the tonic, -1 where it is unknown."""
    rows = _rows(labels, "key")
    return _frame_classes(rows, _pitch(rows) % 12, frames, rate)


def key_modes(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """(F,) index into :data:`~motion_data.labels.MODES`, -1 where it is unknown."""
    rows = _rows(labels, "key")
    return _frame_classes(rows, _column(rows, "key", "mode"), frames, rate)


def section_starts(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """(F, 1) whether a section begins."""
    rows = _rows(labels, "sections")
    return _onset_frames(rows, np.zeros(len(rows), dtype=np.int64), 1, frames, rate)


def section_kinds(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """(F,) index into :data:`~motion_data.labels.SECTIONS`, -1 where it is unknown."""
    rows = _rows(labels, "sections")
    return _frame_classes(rows, _column(rows, "sections", "kind"), frames, rate)


@dataclass(frozen=True)
class Target:
    """A target that a configuration may ask for."""

    kind: str
    """Of the labels that it is made of."""
    compute: Callable[[Labels, int, float], Bools | Classes]
    """From labels, frames and frames a second: (F, size) of bool, or (F,) of classes, -1 where unknown."""
    size: int
    """Outputs that a head needs for it."""


TARGETS: Mapping[str, Target] = {
    "pitch_roll": Target("notes", pitch_roll, NUM_PITCHES),
    "pitch_onsets": Target("notes", pitch_onsets, NUM_PITCHES),
    "pitch_classes": Target("notes", pitch_classes, 12),
    "program_families": Target("notes", program_families, NUM_FAMILIES),
    "drum_onsets": Target("drums", drum_onsets, len(DRUMS)),
    "chord_roots": Target("chords", chord_roots, NO_CHORD + 1),
    "chord_qualities": Target("chords", chord_qualities, len(QUALITIES)),
    "key_tonics": Target("key", key_tonics, 12),
    "key_modes": Target("key", key_modes, len(MODES)),
    "section_starts": Target("sections", section_starts, 1),
    "section_kinds": Target("sections", section_kinds, len(SECTIONS)),
}
"""All targets, by the names of their functions."""


def _rows(labels: Labels, kind: str) -> NDArray[np.float64]:
    return labels.events.get(kind, np.empty((0, 2 + len(KINDS[kind]))))


def _column(rows: NDArray[np.float64], kind: str, name: str) -> Classes:
    column: Classes = np.round(rows[:, 2 + KINDS[kind].index(name)]).astype(np.int64)
    return column


def _pitch(rows: NDArray[np.float64]) -> Classes:
    """The first value of each row, to the nearest semitone; halves upwards, as the octave may be cut off."""
    pitch: Classes = np.floor(rows[:, 2] + 0.5).astype(np.int64)
    return pitch


def _spans(rows: NDArray[np.float64], rate: float) -> tuple[Classes, Classes]:
    """Index of the first frame of each event, and of the one behind its last; at least one frame."""
    first = np.floor(rows[:, 0] * rate + EDGE_TOLERANCE_FRAMES).astype(np.int64)
    stop = np.ceil(rows[:, 1] * rate - EDGE_TOLERANCE_FRAMES).astype(np.int64)
    return first, np.maximum(stop, first + 1)


def _active_frames(rows: NDArray[np.float64], columns: Classes, size: int, frames: int, rate: float) -> Bools:
    first, stop = _spans(rows, rate)
    kept = (stop > 0) & (first < frames) & (columns >= 0) & (columns < size)
    # One more where an event begins, one less behind it: what is above 0 lasts.
    changes = np.zeros((frames + 1, size), dtype=np.int64)
    np.add.at(changes, (np.maximum(first[kept], 0), columns[kept]), 1)
    np.add.at(changes, (np.minimum(stop[kept], frames), columns[kept]), -1)
    lasting: Bools = np.cumsum(changes, axis=0)[:frames] > 0
    return lasting


def _onset_frames(rows: NDArray[np.float64], columns: Classes, size: int, frames: int, rate: float) -> Bools:
    first, _ = _spans(rows, rate)
    kept = (first >= 0) & (first < frames) & (columns >= 0) & (columns < size)
    begins = np.zeros((frames, size), dtype=bool)
    begins[first[kept], columns[kept]] = True
    return begins


def _frame_classes(rows: NDArray[np.float64], classes: Classes, frames: int, rate: float) -> Classes:
    first, stop = _spans(rows, rate)
    held = np.full(frames, UNKNOWN)
    for event in np.argsort(rows[:, 0], kind="stable"):
        held[max(0, first[event]) : max(0, stop[event])] = classes[event]
    return held

"""Frame targets from labels, for losses and tasks.

Frame k covers the time from k to k + 1 frames, as in
:func:`~motion_data.pipeline.beat_targets.frame_targets`. An event is active in each frame that it overlaps,
and its onset is in one frame. A clip that is cut at a frame therefore has the same targets as the whole sound
there. Fractional pitches are rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.labels import DRUMS, KINDS, MODES, QUALITIES, SECTIONS, Labels

RATE = 50.0
"""Frames per second of the towers."""

EDGE_TOLERANCE_FRAMES = 1e-6
"""A time this close to the edge of a frame counts as on the edge."""

NUM_PITCHES, NUM_FAMILIES, NO_CHORD, UNKNOWN = 128, 16, 12, -1

Bools = NDArray[np.bool_]
Classes = NDArray[np.int64]


def pitch_roll(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """Return (F, 128): whether each MIDI pitch sounds."""
    rows = _rows(labels, "notes")
    return _active_frames(rows, _pitch(rows), NUM_PITCHES, frames, rate)


def pitch_onsets(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """Return (F, 128): whether a note of each MIDI pitch begins."""
    rows = _rows(labels, "notes")
    return _onset_frames(rows, _pitch(rows), NUM_PITCHES, frames, rate)


def pitch_classes(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """Return (F, 12): whether each pitch class sounds, from C upwards."""
    rows = _rows(labels, "notes")
    return _active_frames(rows, _pitch(rows) % 12, 12, frames, rate)


def program_families(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """Return (F, 16): whether a program of each General MIDI family of eight sounds."""
    rows = _rows(labels, "notes")
    return _active_frames(rows, _column(rows, "notes", "program") // 8, NUM_FAMILIES, frames, rate)


def drum_onsets(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """Return (F, 6): whether a drum of each class of :data:`~motion_data.labels.DRUMS` is struck."""
    rows = _rows(labels, "drums")
    return _onset_frames(rows, _column(rows, "drums", "class"), len(DRUMS), frames, rate)


def chord_roots(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """Return (F,): pitch class of the chord's root, 12 without a chord, -1 if unknown.

    The frame of a change has the class of the later event, here and in the functions below.
    """
    rows = _rows(labels, "chords")
    silent = _column(rows, "chords", "quality") == QUALITIES.index("none")
    return _frame_classes(rows, np.where(silent, NO_CHORD, _pitch(rows) % 12), frames, rate)


def chord_qualities(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """Return (F,): index into :data:`~motion_data.labels.QUALITIES`, -1 if unknown."""
    rows = _rows(labels, "chords")
    return _frame_classes(rows, _column(rows, "chords", "quality"), frames, rate)


def key_tonics(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """Return (F,): pitch class of the tonic, -1 if unknown."""
    rows = _rows(labels, "key")
    return _frame_classes(rows, _pitch(rows) % 12, frames, rate)


def key_modes(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """Return (F,): index into :data:`~motion_data.labels.MODES`, -1 if unknown."""
    rows = _rows(labels, "key")
    return _frame_classes(rows, _column(rows, "key", "mode"), frames, rate)


def section_starts(labels: Labels, frames: int, rate: float = RATE) -> Bools:
    """Return (F, 1): whether a section begins."""
    rows = _rows(labels, "sections")
    return _onset_frames(rows, np.zeros(len(rows), dtype=np.int64), 1, frames, rate)


def section_kinds(labels: Labels, frames: int, rate: float = RATE) -> Classes:
    """Return (F,): index into :data:`~motion_data.labels.SECTIONS`, -1 if unknown."""
    rows = _rows(labels, "sections")
    return _frame_classes(rows, _column(rows, "sections", "kind"), frames, rate)


@dataclass(frozen=True)
class Target:
    """A target that a configuration can select."""

    kind: str
    """Kind of labels that it needs."""
    compute: Callable[[Labels, int, float], Bools | Classes]
    """Takes labels, number of frames F and frame rate. Returns (F, size) bool, or (F,) classes, -1 if
    unknown."""
    size: int
    """Number of outputs of a head for it."""


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
"""Targets by the name of their function."""


def _rows(labels: Labels, kind: str) -> NDArray[np.float64]:
    return labels.events.get(kind, np.empty((0, 2 + len(KINDS[kind]))))


def _column(rows: NDArray[np.float64], kind: str, name: str) -> Classes:
    column: Classes = np.round(rows[:, 2 + KINDS[kind].index(name)]).astype(np.int64)
    return column


def _pitch(rows: NDArray[np.float64]) -> Classes:
    """The first value of each row, rounded to semitones; halves upwards, since the octave may be dropped."""
    pitch: Classes = np.floor(rows[:, 2] + 0.5).astype(np.int64)
    return pitch


def _spans(rows: NDArray[np.float64], rate: float) -> tuple[Classes, Classes]:
    """First frame of each event and the frame after its last; at least one frame per event."""
    first = np.floor(rows[:, 0] * rate + EDGE_TOLERANCE_FRAMES).astype(np.int64)
    stop = np.ceil(rows[:, 1] * rate - EDGE_TOLERANCE_FRAMES).astype(np.int64)
    return first, np.maximum(stop, first + 1)


def _active_frames(rows: NDArray[np.float64], columns: Classes, size: int, frames: int, rate: float) -> Bools:
    first, stop = _spans(rows, rate)
    inside = (stop > 0) & (first < frames) & (columns >= 0) & (columns < size)
    # +1 at each onset and -1 after each offset: the cumulative sum counts active events.
    changes = np.zeros((frames + 1, size), dtype=np.int64)
    np.add.at(changes, (np.maximum(first[inside], 0), columns[inside]), 1)
    np.add.at(changes, (np.minimum(stop[inside], frames), columns[inside]), -1)
    active: Bools = np.cumsum(changes, axis=0)[:frames] > 0
    return active


def _onset_frames(rows: NDArray[np.float64], columns: Classes, size: int, frames: int, rate: float) -> Bools:
    first, _ = _spans(rows, rate)
    inside = (first >= 0) & (first < frames) & (columns >= 0) & (columns < size)
    onsets = np.zeros((frames, size), dtype=bool)
    onsets[first[inside], columns[inside]] = True
    return onsets


def _frame_classes(rows: NDArray[np.float64], classes: Classes, frames: int, rate: float) -> Classes:
    first, stop = _spans(rows, rate)
    targets = np.full(frames, UNKNOWN)
    for event in np.argsort(rows[:, 0], kind="stable"):
        targets[max(0, first[event]) : max(0, stop[event])] = classes[event]
    return targets

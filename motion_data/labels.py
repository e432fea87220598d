"""Labels of a sound other than beats: notes, drums, chords, key, sections."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motion_data.errors import DataError
from motion_data.files import read_npz
from motionbeat_upstream.atomic_write import atomic_path

KINDS: Mapping[str, tuple[str, ...]] = {
    "notes": ("pitch", "velocity", "program", "part"),
    "drums": ("class", "velocity"),
    "chords": ("root", "quality"),
    "key": ("tonic", "mode"),
    "sections": ("kind",),
}
"""The kinds of events, and the values of each kind. They follow the onset and offset of an event in seconds.

``pitch`` is a MIDI pitch, ``velocity`` a MIDI velocity, ``program`` a General MIDI program from 0, ``part``
the number of the player within the pair. ``root`` and ``tonic`` are pitch classes, 0 for C. ``class``,
``quality``, ``mode`` and ``kind`` are indices into :data:`DRUMS`, :data:`QUALITIES`, :data:`MODES` and
:data:`SECTIONS`. Append new entries to these tuples: prepared corpora contain the indices.

A kind without events means that there are none. A kind that is absent is unknown.
"""

PITCHED_KINDS = ("notes", "chords", "key")
"""Kinds whose first value is in semitones and increases with the playback speed."""

DRUMS = ("kick", "snare", "hat", "tom", "cymbal", "other")
"""Classes of drums. Rim strokes and claps are snares; rides, bells and splashes are cymbals."""

_DRUM_KEYS: Mapping[str, tuple[int, ...]] = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "hat": (42, 44, 46),
    "tom": (41, 43, 45, 47, 48, 50),
    "cymbal": (49, 51, 52, 53, 55, 57, 59),
}

_DRUM_OF_KEY = np.full(128, DRUMS.index("other"))
for _name, _keys in _DRUM_KEYS.items():
    _DRUM_OF_KEY[list(_keys)] = DRUMS.index(_name)

CHORD_TONES: Mapping[str, tuple[int, ...]] = {
    "none": (),
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "5": (0, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "minmaj7": (0, 3, 7, 11),
    "hdim7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
}
"""Semitones above the root of each chord quality, named as in Harte's notation. ``none`` means that no chord
sounds; its root is ignored."""

QUALITIES = (*CHORD_TONES, "other")
"""Chord qualities by index."""

MODE_STEPS: Mapping[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
}
"""Semitones above the tonic of the scale of each mode."""

MODES = (*MODE_STEPS, "other")
"""Modes by index."""

SECTIONS = (
    *("part", "thinned", "break", "intro", "verse", "chorus", "bridge", "solo", "outro"),
    *("fermata", "silence", "noise", "applause"),
)
"""Kinds of sections. A ``part`` has no further name. Some instruments rest in a ``thinned`` section, all or
all but one in a ``break``."""


@dataclass(frozen=True)
class Labels:
    """Events by kind, on the clock of the sound.

    They are part of a :class:`~motion_data.loading.LoadedPair`, are cut and resampled with it, and reach the
    losses in a :class:`~motion_data.pipeline.batch.Batch`. :mod:`motion_data.label_targets` converts them to
    frame targets.

    Raises:
        ValueError: a kind is not in :data:`KINDS`, or its rows have a wrong shape, type or order.
    """

    events: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """(N, 2 + K) for each kind: onset and offset in seconds, then the K values of the kind. An event may
    begin before the sound or end after it."""

    def __post_init__(self) -> None:
        for kind, rows in self.events.items():
            if kind not in KINDS:
                raise ValueError(f"labels of the kind {kind!r}; expected some of {', '.join(KINDS)}")
            width = 2 + len(KINDS[kind])
            if rows.ndim != 2 or rows.shape[1] != width or rows.dtype != np.float64:
                raise ValueError(
                    f"{kind} of shape {rows.shape} and type {rows.dtype}; expected (N, {width}) of float64: "
                    f"begin, end, {', '.join(KINDS[kind])}"
                )
            if not np.isfinite(rows).all() or (rows[:, 1] < rows[:, 0]).any():
                raise ValueError(f"{kind} with values that are not finite, or that end before they begin")

    def between(self, start: float, stop: float) -> Labels:
        """Select the events that overlap [start, stop), uncut, on a clock that begins at ``start``."""
        events = {}
        for kind, rows in self.events.items():
            inside = (rows[:, 0] < stop) & ((rows[:, 1] > start) | (rows[:, 0] >= start))
            events[kind] = _with_times(rows[inside], rows[inside, :2] - start)
        return Labels(events)

    def at_speed(self, speed: float) -> Labels:
        """Return the events of the sound played ``speed`` times as fast.

        Pitches of notes, roots of chords and the tonic of the key rise by 12 · log2(speed) semitones, so they
        may become fractional.
        """
        if speed == 1.0:
            return self
        events = {}
        for kind, rows in self.events.items():
            events[kind] = _with_times(rows, rows[:, :2] / speed)
            if kind in PITCHED_KINDS:
                events[kind][:, 2] += 12 * np.log2(speed)
        return Labels(events)


def __getattr__(name: str) -> Any:
    """Old names, for one version."""
    new = {"quality_of": "chord_quality", "mode_of": "scale_mode"}.get(name)
    if new is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{name} is called {new}", DeprecationWarning, stacklevel=2)
    return globals()[new]


def drum_classes(keys: ArrayLike) -> NDArray[np.int64]:
    """Map General MIDI percussion keys to indices into :data:`DRUMS`."""
    return _DRUM_OF_KEY[np.clip(np.asarray(keys, dtype=np.int64), 0, 127)]


def chord_quality(chord: tuple[int, ...]) -> int:
    """Return the index into :data:`QUALITIES` of a chord: its pitches or pitch classes, root first."""
    return _name_index(chord, CHORD_TONES, QUALITIES)


def scale_mode(scale: tuple[int, ...]) -> int:
    """Return the index into :data:`MODES` of a scale: its pitches or pitch classes, tonic first."""
    return _name_index(scale, MODE_STEPS, MODES)


def write_labels(path: str | Path, labels: Labels) -> None:
    """Write labels as .npz, one array per kind, atomically."""
    with atomic_path(path) as draft:
        np.savez(draft, **labels.events)


def read_labels(path: str | Path) -> Labels:
    """Read a file of :func:`write_labels`, without unpickling.

    Raises:
        DataError: the file is missing or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; export the corpus again")
    try:
        return Labels(read_npz(path))
    except ValueError as error:
        raise DataError(f"{path}: not labels of this project ({error}); export the corpus again") from error


def _name_index(
    pitches: tuple[int, ...], steps_by_name: Mapping[str, tuple[int, ...]], names: tuple[str, ...]
) -> int:
    steps = tuple(sorted({(pitch - pitches[0]) % 12 for pitch in pitches}))
    for index, name in enumerate(names):
        if steps_by_name.get(name) == steps:
            return index
    return names.index("other")


def _with_times(rows: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([times, rows[:, 2:]], axis=1)

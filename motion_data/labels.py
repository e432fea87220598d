"""What is known of a pair's sound beside its beats: notes, drums, chords, key, sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

KINDS: Mapping[str, tuple[str, ...]] = {
    "notes": ("pitch", "velocity", "program", "part"),
    "drums": ("class", "velocity"),
    "chords": ("root", "quality"),
    "key": ("tonic", "mode"),
    "sections": ("kind",),
}
"""The kinds of events, and the values of each after the seconds at which an event begins and ends.

``pitch`` is a MIDI pitch, ``velocity`` a MIDI velocity, ``program`` a General MIDI program from 0, ``part``
the number of the player within the pair. ``root`` and ``tonic`` are pitch classes, 0 for C. ``class``,
``quality``, ``mode`` and ``kind`` are indices into :data:`DRUMS`, :data:`QUALITIES`, :data:`MODES` and
:data:`SECTIONS`. Entries of these tuples may be added at the end only: prepared corpora hold the indices.

Each source of pairs gives the kinds that it knows. A kind that is given without events says that none sounds;
a kind that is absent is unknown.
"""

PITCHED_KINDS = ("notes", "chords", "key")
"""Kinds whose first value is in semitones: it rises where the sound is played faster."""

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
"""Semitones above the root of each quality, as Harte's notation names it; ``none`` is that no chord sounds,
whatever the root."""

QUALITIES = (*CHORD_TONES, "other")
"""Qualities of chords, by their number."""

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
"""Modes of keys, by their number."""

SECTIONS = (
    *("part", "thinned", "break", "intro", "verse", "chorus", "bridge", "solo", "outro"),
    *("fermata", "silence", "noise", "applause"),
)
"""Kinds of sections. A part has no name of its own; in a thinned one some of the band rest, in a break all or
all but one."""


@dataclass(frozen=True)
class Labels:
    """Events by their kind, on the clock of the sound.

    They come with a :class:`~motion_data.loading.LoadedPair`, are cut and played faster with it, and reach
    the losses in a :class:`~motion_data.pipeline.batch.Batch`. :mod:`motion_data.label_targets` turns them
    into targets of frames.

    Raises ``ValueError`` where a kind is none of :data:`KINDS`, or its rows are not what they should be.
    """

    events: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """(N, 2 + K) of each kind: seconds at which an event begins and ends, then the K values of that kind. An
    event may begin before the sound, or end after it."""

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
                raise ValueError(f"{kind} with values that are no numbers, or that end before they begin")

    def between(self, start: float, stop: float) -> Labels:
        """The events that begin or last in [start, stop), whole, on a clock that begins at ``start``."""
        return Labels(
            {
                kind: _with_times(rows[inside], rows[inside, :2] - start)
                for kind, rows in self.events.items()
                for inside in [(rows[:, 0] < stop) & ((rows[:, 1] > start) | (rows[:, 0] >= start))]
            }
        )

    def at_speed(self, speed: float) -> Labels:
        """The events of the sound played ``speed`` times as fast.

        Its pitch rises by 12 · log2(speed) semitones, and so do the pitches of notes, the roots of chords and
        the tonic of the key, which need not be whole numbers then.
        """
        if speed == 1.0:
            return self
        events = {}
        for kind, rows in self.events.items():
            events[kind] = _with_times(rows, rows[:, :2] / speed)
            if kind in PITCHED_KINDS:
                events[kind][:, 2] += 12 * np.log2(speed)
        return Labels(events)


def drum_classes(keys: ArrayLike) -> NDArray[np.int64]:
    """Indices into :data:`DRUMS` of keys of General MIDI percussion."""
    return _DRUM_OF_KEY[np.clip(np.asarray(keys, dtype=np.int64), 0, 127)]


def chord_quality(chord: tuple[int, ...]) -> int:
    """Index into :data:`QUALITIES` of a chord's pitches or pitch classes, the root first."""
    return _name_index(chord, CHORD_TONES, QUALITIES)


def scale_mode(scale: tuple[int, ...]) -> int:
    """Index into :data:`MODES` of a scale's pitches or pitch classes, the tonic first."""
    return _name_index(scale, MODE_STEPS, MODES)


def _name_index(
    pitches: tuple[int, ...], known: Mapping[str, tuple[int, ...]], names: tuple[str, ...]
) -> int:
    steps = tuple(sorted({(pitch - pitches[0]) % 12 for pitch in pitches}))
    name = next((name for name, those in known.items() if those == steps), "other")
    return names.index(name)


def _with_times(rows: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([times, rows[:, 2:]], axis=1)

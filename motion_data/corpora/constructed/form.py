"""Labels of an arrangement: its notes, and the chords, key and sections that the arranger knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.surroundings import MIN_AUDIBLE_GAIN, Surroundings, music_gain
from motion_data.labels import KINDS, QUALITIES, SECTIONS, Labels, chord_quality, drum_classes, scale_mode
from motion_data.soundfont import fold_pitches

if TYPE_CHECKING:
    from motion_data.corpora.constructed.arrangement import Arrangement, Part

ROLES = ("drums", "bass", "chords", "melody")
"""Players, in the order of the columns of ``plays``."""

SECTION_BARS = 8
"""Bars after which a tune goes on to another part, or begins again."""


TIME_TOLERANCE = 1e-6
"""Seconds by which times may differ that are the same."""


@dataclass(frozen=True)
class PlayerCells:
    """Stretches of a piece in which the same players play: bars, of which a break is cut off."""

    edges: NDArray[np.float64]
    """(N + 1,) beats."""
    bars: NDArray[np.int64]
    """(N,) number of each cell's bar."""
    plays: NDArray[np.bool_]
    """(N, 4) whether each of :data:`ROLES` plays, if it belongs to the band."""


def player_cells(
    plays: NDArray[np.bool_], breaks: Sequence[tuple[float, float, str | None]], metre: int
) -> PlayerCells:
    """The cells of a piece.

    Args:
        plays: (bars, 4) whether each of :data:`ROLES` plays in a bar, if it belongs to the band.
        breaks: beats from which on and until which all rest but the role named, if any.
        metre: beats a bar.
    """
    bars = np.arange(len(plays) + 1) * float(metre)
    edges = np.unique(
        [*bars, *(edge for start, stop, _ in breaks for edge in (start, stop) if edge < bars[-1])]
    )
    bar = (edges[:-1] // metre).astype(np.int64)
    present = plays[bar]
    for start, stop, solo in breaks:
        inside = (edges[:-1] >= start) & (edges[:-1] < stop)
        present[inside] &= np.array([role == solo for role in ROLES])
    return PlayerCells(edges, bar, present)


def chord_events(
    chords: NDArray[np.int64], cells: PlayerCells, band: Collection[str], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 4) the chords that sound, one after the other.

    A chord is known where the chord player strikes it, and that there is none where drums play alone. Where
    only bass or melody play, which do not sound all its tones, nothing is said.

    Args:
        chords: (bars, 3) pitch classes of each bar, root first.
        cells: of the piece.
        band: those of :data:`ROLES` that take part.
        edges: (N + 1,) seconds of the cells' edges.
    """
    told: list[tuple[int, int] | None] = []
    present = cells.plays & np.array([role in band for role in ROLES])
    for chord, (_, bass, struck, melody) in zip(chords[cells.bars].tolist(), present.tolist(), strict=True):
        if struck:
            told.append((chord[0], chord_quality(tuple(chord))))
        else:
            told.append(None if bass or melody else (0, QUALITIES.index("none")))
    rows = [
        (edges[first], edges[stop], *chord)
        for first, stop in _runs(told)
        if (chord := told[first]) is not None
    ]
    return np.array(rows).reshape(-1, 4)


def key_events(
    scale: Sequence[int], transposition: int, band: Collection[str], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(1, 4) the key of a whole piece, or (0, 4) where drums play alone.

    Args:
        scale: pitch classes from the tonic upwards, before transposition.
        transposition: semitones.
        band: those of :data:`ROLES` that take part.
        edges: seconds of the cells' edges.
    """
    tonic = (scale[0] + transposition) % 12
    rows = [(edges[0], edges[-1], tonic, scale_mode(tuple(scale)))] if set(band) - {"drums"} else []
    return np.array(rows).reshape(-1, 4)


def section_events(
    first_bar: int, cells: PlayerCells, band: Collection[str], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) sections: one every :data:`SECTION_BARS` bars of the tune and where a player enters or stops.

    Args:
        first_bar: bar of the tune that the piece begins with.
        cells: of the piece.
        band: those of :data:`ROLES` that take part.
        edges: (N + 1,) seconds of the cells' edges.
    """
    present = cells.plays[:, [column for column, role in enumerate(ROLES) if role in band]]
    periods = (first_bar + cells.bars) // SECTION_BARS
    states = [(period, *row) for period, row in zip(periods.tolist(), present.tolist(), strict=True)]
    rows = []
    for first, stop in _runs(states):
        playing = int(present[first].sum())
        kind = "part" if playing == len(band) else "break" if playing < 2 else "thinned"
        rows.append((edges[first], edges[stop], SECTIONS.index(kind)))
    return np.array(rows).reshape(-1, 3)


def arrangement_labels(arrangement: Arrangement) -> Labels:
    """Notes and drums as they are played, with the arranger's chords, key and sections; all that begins or
    lasts within the pair and is heard."""
    notes = [_note_rows(part, number) for number, part in enumerate(arrangement.parts) if not part.drums]
    drums = [_drum_rows(part) for part in arrangement.parts if part.drums]
    around, seconds = arrangement.surroundings, arrangement.seconds
    events = {}
    for kind, rows in (("notes", notes), ("drums", drums)):
        found = np.concatenate([np.empty((0, 2 + len(KINDS[kind]))), *rows])
        # Fades go one way: what is silent at both its ends is silent in between.
        loudest = (
            music_gain(around, seconds, np.clip(found[:, :2].ravel(), 0.0, seconds))
            .reshape(-1, 2)
            .max(axis=1)
        )
        events[kind] = found[loudest >= MIN_AUDIBLE_GAIN]
    # The last downbeat is struck, and rings.
    rings = max([around.stop, *(float(rows[:, 1].max()) for rows in notes if np.isfinite(around.stop))])
    for kind, known in arrangement.form.events.items():
        events[kind] = _crop_to_music(known, around, rings if kind == "chords" else around.stop)
    if "sections" in events:
        silent, after = SECTIONS.index("silence"), "applause" if around.applause else "silence"
        before = [(0.0, around.start, silent)] if around.start > 0 else []
        behind = [(around.stop, seconds, SECTIONS.index(after))] if around.stop < seconds else []
        events["sections"] = np.array([*before, *events["sections"].tolist(), *behind])
    if "chords" in events and around.start > 0:
        silence = [(0.0, around.start, 0.0, QUALITIES.index("none"))]
        events["chords"] = np.concatenate([silence, events["chords"]])
    return Labels(events).between(0.0, seconds)


def beatless_labels(kind: str, seconds: float) -> Labels:
    """Labels of a pair without music.

    Args:
        kind: one of :data:`~motion_data.corpora.constructed.surroundings.BEATLESS_SOUNDS`.
        seconds: its length.
    """
    none = {name: np.empty((0, 2 + len(values))) for name, values in KINDS.items()}
    chord = [[0.0, seconds, 0.0, QUALITIES.index("none")]]
    section = [[0.0, seconds, SECTIONS.index(kind)]]
    return Labels({**none, "chords": np.array(chord), "sections": np.array(section)})


def _crop_to_music(rows: NDArray[np.float64], around: Surroundings, stop: float) -> NDArray[np.float64]:
    """The rows that begin in the music, or last until it begins; cut off at its beginning and at ``stop``."""
    kept = rows[
        (rows[:, 0] <= around.stop + TIME_TOLERANCE) & (rows[:, 1] > around.start + TIME_TOLERANCE)
    ].copy()
    if around.start > 0:
        kept[:, 0] = np.maximum(kept[:, 0], around.start)
    kept[:, 1] = np.minimum(kept[:, 1], stop)
    return kept[kept[:, 1] > kept[:, 0] + TIME_TOLERANCE]


def _note_rows(part: Part, number: int) -> NDArray[np.float64]:
    start, length, pitch, velocity = part.notes.T
    same = np.ones(len(part.notes))
    return np.column_stack(
        [start, start + length, fold_pitches(pitch), np.round(velocity), part.program * same, number * same]
    )


def _drum_rows(part: Part) -> NDArray[np.float64]:
    start, length, pitch, velocity = part.notes.T
    return np.column_stack([start, start + length, drum_classes(np.round(pitch)), np.round(velocity)])


def _runs(values: Sequence[object]) -> list[tuple[int, int]]:
    """Index of the first of each run of equal values, and the index behind its last."""
    starts = [place for place, value in enumerate(values) if place == 0 or value != values[place - 1]]
    return list(pairwise([*starts, len(values)]))

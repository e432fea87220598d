"""Labels of an arrangement: notes, drums, chords, key and sections."""

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
"""Order of the columns of ``plays``."""

SECTION_BARS = 8
"""Bars per section of a tune."""

TIME_TOLERANCE = 1e-6
"""Seconds by which equal times may differ."""


@dataclass(frozen=True)
class PlayerCells:
    """Bars of a piece, divided at breaks, and the players of each cell."""

    edges: NDArray[np.float64]
    """(N + 1,) beats."""
    bars: NDArray[np.int64]
    """(N,) bar index of each cell."""
    plays: NDArray[np.bool_]
    """(N, 4) whether each of :data:`ROLES` plays, if it belongs to the band."""


def player_cells(
    plays: NDArray[np.bool_], breaks: Sequence[tuple[float, float, str | None]], metre: int
) -> PlayerCells:
    """Divide a piece into cells.

    Args:
        plays: (bars, 4) whether each of :data:`ROLES` plays in a bar, if it belongs to the band.
        breaks: first beat, end beat, and the role that plays on, if any.
        metre: beats per bar.
    """
    bars = np.arange(len(plays) + 1) * float(metre)
    break_edges = np.array([edge for start, stop, _ in breaks for edge in (start, stop)])
    edges = np.union1d(bars, break_edges[break_edges < bars[-1]])
    bar = (edges[:-1] // metre).astype(np.int64)
    present = plays[bar]
    for start, stop, solo in breaks:
        inside = (edges[:-1] >= start) & (edges[:-1] < stop)
        present[inside] &= np.array([role == solo for role in ROLES])
    return PlayerCells(edges, bar, present)


def chord_events(
    chords: NDArray[np.int64], cells: PlayerCells, band: Collection[str], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 4) chords in order of time.

    A chord is labelled where the chord player plays, and "none" where only drums play. Where only bass or
    melody play, whose notes do not give all chord tones, there is no label.

    Args:
        chords: (bars, 3) pitch classes of each bar, root first.
        cells: of the piece.
        band: those of :data:`ROLES` that take part.
        edges: (N + 1,) seconds of the cells' edges.
    """
    labels: list[tuple[int, int] | None] = []
    present = cells.plays & np.array([role in band for role in ROLES])
    for triad, (_, bass, player, melody) in zip(chords[cells.bars].tolist(), present.tolist(), strict=True):
        if player:
            labels.append((triad[0], chord_quality(tuple(triad))))
        else:
            labels.append(None if bass or melody else (0, QUALITIES.index("none")))
    rows = []
    for first, stop in _runs(labels):
        label = labels[first]
        if label is not None:
            rows.append((edges[first], edges[stop], *label))
    return np.array(rows).reshape(-1, 4)


def key_events(
    scale: Sequence[int], transposition: int, band: Collection[str], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(1, 4) key of the whole piece, or (0, 4) if only drums play.

    Args:
        scale: pitch classes from the tonic upwards, before transposition.
        transposition: semitones.
        band: those of :data:`ROLES` that take part.
        edges: (N + 1,) seconds of the cells' edges.
    """
    tonic = (scale[0] + transposition) % 12
    rows = [(edges[0], edges[-1], tonic, scale_mode(tuple(scale)))] if set(band) - {"drums"} else []
    return np.array(rows).reshape(-1, 4)


def section_events(
    first_bar: int, cells: PlayerCells, band: Collection[str], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3) sections: one every :data:`SECTION_BARS` bars of the tune and where a player enters or stops.

    Args:
        first_bar: bar of the tune at which the piece begins.
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
    """All labels of a pair: audible notes and drums, chords, key and sections."""
    notes = [_note_rows(part, number) for number, part in enumerate(arrangement.parts) if not part.drums]
    drums = [_drum_rows(part) for part in arrangement.parts if part.drums]
    around, seconds = arrangement.surroundings, arrangement.seconds
    events = {}
    for kind, rows in (("notes", notes), ("drums", drums)):
        notes_of_kind = np.concatenate([np.empty((0, 2 + len(KINDS[kind]))), *rows])
        # Fades are monotonic: a note that is silent at both ends is silent throughout.
        gains = music_gain(around, seconds, np.clip(notes_of_kind[:, :2].ravel(), 0.0, seconds))
        events[kind] = notes_of_kind[gains.reshape(-1, 2).max(axis=1) >= MIN_AUDIBLE_GAIN]
    # The chord of the last downbeat lasts as long as its notes.
    chords_stop = max([around.stop, *(float(rows[:, 1].max()) for rows in notes if np.isfinite(around.stop))])
    for kind, form_rows in arrangement.form.events.items():
        events[kind] = _crop_to_music(form_rows, around, chords_stop if kind == "chords" else around.stop)
    if "sections" in events:
        silent, after = SECTIONS.index("silence"), "applause" if around.applause else "silence"
        before = [(0.0, around.start, silent)] if around.start > 0 else []
        end = [(around.stop, seconds, SECTIONS.index(after))] if around.stop < seconds else []
        events["sections"] = np.array([*before, *events["sections"].tolist(), *end])
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
    """Crop rows to the music, from its start to ``stop``; drop rows outside."""
    inside = (rows[:, 0] <= around.stop + TIME_TOLERANCE) & (rows[:, 1] > around.start + TIME_TOLERANCE)
    rows = rows[inside].copy()
    if around.start > 0:
        rows[:, 0] = np.maximum(rows[:, 0], around.start)
    rows[:, 1] = np.minimum(rows[:, 1], stop)
    return rows[rows[:, 1] > rows[:, 0] + TIME_TOLERANCE]


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
    """First and end index of each run of equal values."""
    starts = [index for index, value in enumerate(values) if index == 0 or value != values[index - 1]]
    return list(pairwise([*starts, len(values)]))

"""MIDI files as scores, with their own drums, tempi and bars, if the notes agree with the bars."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.beats_file import Beats
from motion_data.corpora.constructed.arrangement import MAX_BPM, MIN_BPM
from motion_data.corpora.constructed.score_check import find_contradiction
from motion_data.corpora.constructed.scores import PERCUSSION, Score
from motion_data.corpora.constructed.tunes import METRES
from motion_data.errors import DataError
from motion_data.files import find_files
from motion_data.midi_beats import midi_beats, pop909_beats
from motion_data.midi_file import read_score, ticks_to_seconds
from motionbeat_upstream.file_name import printable

STYLE = "pieces"

MIN_BARS, MIN_NOTES = 8, 64
"""Shorter stretches of one metre are left out."""

MAX_TEMPO_CHANGE = 1.25
"""Factor by which a piece may be played faster or slower."""

MAX_STEADY_VARIATION = 0.02
"""Relative variation below which a tempo counts as constant."""

NOISE_PROGRAMS = range(120, 128)
"""GM programs of sound effects."""

LICENCE_FILES = ("LICENSE*", "LICENCE*", "COPYING*", "copyright")

BASS_PROGRAMS = range(32, 40)
"""GM programs of basses."""


def read_pieces(folder: Path) -> tuple[list[Score], dict[str, str]]:
    """Read the MIDI files of a folder as scores.

    Bars come from the file's time signatures, or from a ``beat_midi.txt`` beside it (POP909). A piece in
    several metres gives a score for each stretch of at least :data:`MIN_BARS` bars.

    Args:
        folder: searched recursively for .mid and .midi.

    Returns:
        The scores, and the reason for each file or stretch that is left out.

    Raises:
        DataError: the folder is missing or has no MIDI files.
    """
    files = find_files(folder, (".mid", ".midi"))
    if not files:
        raise DataError(f"{folder}: no .mid or .midi file in it; give a folder of MIDI files with --pieces")
    licence = folder_licence(folder)
    scores: list[Score] = []
    left_out: dict[str, str] = {}
    for path in files:
        name = printable(path.relative_to(folder).as_posix())
        try:
            stretches = read_piece(path, f"midi:{printable(folder.name)}/{name}", licence)
        except DataError as error:
            left_out[name] = str(error)
            continue
        for number, stretch in enumerate(stretches, 1):
            if isinstance(stretch, Score):
                scores.append(stretch)
            else:
                left_out[name if len(stretches) == 1 else f"{name}, stretch {number}"] = f"{path}: {stretch}"
    return scores, left_out


def folder_licence(folder: Path) -> str:
    """Licence of a folder's pieces: the first line of its licence file, if any."""
    for pattern in LICENCE_FILES:
        for path in sorted(folder.glob(pattern)):
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
            first = next((line.strip() for line in lines if line.strip()), "")
            return printable(f"the MIDI file's own ({path.name}: {first[:100]}); dance: Apache-2.0")
    return "the MIDI file's own; dance: Apache-2.0"


def read_piece(path: Path, source: str, licence: str) -> list[Score | str]:
    """Score, or reason to leave it out, for each stretch of a MIDI file in one metre.

    Raises:
        DataError: the file is not MIDI, has no notes, or has invalid beats.
    """
    annotation = path.with_name("beat_midi.txt")
    beats = pop909_beats(annotation) if annotation.is_file() else midi_beats(path)
    score = read_score(path)
    players, notes = _read_notes(score)
    scores = [
        _make_score(beats, first, last, players, notes, source, licence)
        for first, last in _metre_stretches(beats.positions)
    ]
    return scores or [f"no {MIN_BARS} consecutive bars in one metre; leave it out"]


def _read_notes(score: Any) -> tuple[list[tuple[str, int, bool]], NDArray[np.float64]]:
    """Role, program and whether drums of each part, and (N, 5) part, start and end in s, pitch, velocity."""
    players: list[tuple[str, int, bool]] = []
    rows = []
    for track in score.tracks:
        columns = track.notes.numpy()
        pitch = columns["pitch"].astype(np.float64)
        if track.is_drum:
            kept = np.isin(pitch, PERCUSSION)
        else:
            kept = np.full(len(pitch), track.program not in NOISE_PROGRAMS)
        if not kept.any():
            continue
        start = ticks_to_seconds(score, columns["time"])
        end = ticks_to_seconds(score, columns["time"] + columns["duration"])
        part = np.full(len(pitch), float(len(players)))
        rows.append(np.stack([part, start, end, pitch, columns["velocity"].astype(np.float64)], axis=1)[kept])
        players.append((_role(track, pitch), int(track.program), bool(track.is_drum)))
    return players, np.concatenate(rows) if rows else np.zeros((0, 5))


def _role(track: Any, pitch: NDArray[np.float64]) -> str:
    name = track.name.lower()
    if track.is_drum:
        return "drums"
    if track.program in BASS_PROGRAMS or "bass" in name or np.median(pitch) < 43:
        return "bass"
    return "melody" if any(word in name for word in ("melod", "vocal", "lead")) else "chords"


def _metre_stretches(positions: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First beat and end beat of stretches of at least :data:`MIN_BARS` bars of one metre."""
    downbeats = np.flatnonzero(positions == 1)
    if len(downbeats) < 2:
        return []
    lengths = np.diff(downbeats)
    # Bars at which another length begins, and the end of the last bar.
    edges = [0, *np.flatnonzero(np.diff(lengths)) + 1, len(lengths)]
    return [(int(downbeats[a]), int(downbeats[b])) for a, b in pairwise(edges) if b - a >= MIN_BARS]


def _make_score(
    beats: Beats,
    first: int,
    last: int,
    players: list[tuple[str, int, bool]],
    notes: NDArray[np.float64],
    source: str,
    licence: str,
) -> Score | str:
    """Score of the beats from ``first`` to before ``last``, or the reason to leave it out."""
    times = beats.times[first : last + 1]
    if len(times) == last - first:  # the last beat of the piece lasts as long as the one before
        times = np.append(times, 2 * times[-1] - times[-2])
    metre = int(beats.positions[first:last].max())
    count = last - first
    step = np.diff(times)
    bpm = float(60 / np.median(step))
    if not MIN_BPM / MAX_TEMPO_CHANGE < bpm < MAX_BPM * MAX_TEMPO_CHANGE:
        return f"tempo of {bpm:.0f} bpm; expected {MIN_BPM:g} to {MAX_BPM:g} bpm"
    start = np.interp(notes[:, 1], times, np.arange(count + 1.0), left=-1.0, right=count + 1.0)
    end = np.interp(notes[:, 2], times, np.arange(count + 1.0), right=count)
    inside = (start > -0.1) & (start < count - 0.1)
    rows = np.stack([notes[:, 0], start, np.maximum(end - start, 0.02), notes[:, 3], notes[:, 4]], axis=1)
    rows = rows[inside]
    if len(rows) < MIN_NOTES:
        return f"{len(rows)} notes; expected {MIN_NOTES} or more"
    signature = _signature(metre, rows[:, 1])
    if signature is None:
        return f"bars of {metre} beats; expected one of {', '.join(METRES)}"
    steady = float(np.ptp(step)) < MAX_STEADY_VARIATION * float(np.median(step))
    score = Score(
        source=source if first == 0 else f"{source}#{first}",
        piece=source,
        licence=licence,
        style=STYLE,
        signature=signature,
        metre=metre,
        beats=count,
        bpm=(max(MIN_BPM, bpm / MAX_TEMPO_CHANGE), min(MAX_BPM, bpm * MAX_TEMPO_CHANGE)),
        loop=(0, count),
        players=tuple(players),
        notes=rows[np.argsort(rows[:, 1], kind="stable")],
        seconds=None if steady else times - times[0],
    )
    return find_contradiction(score) or score


def _signature(metre: int, starts: NDArray[np.float64]) -> str | None:
    """Time signature of a metre, simple or compound by the subdivision of its notes; None if unknown."""
    thirds, halves = (abs(np.mean(np.exp(2j * np.pi * parts * starts))) for parts in (3, 2))
    parts = 3 if thirds > halves else 2
    known = {kind: signature for signature, kind in METRES.items()}
    return known.get((metre, parts), known.get((metre, 2)))

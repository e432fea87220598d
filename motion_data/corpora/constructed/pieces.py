"""MIDI files as whole arrangements: their own drums, tempi and bars, where the notes agree with the bars."""

from __future__ import annotations

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
"""A stretch of one metre with less is left out."""

MAX_TEMPO_CHANGE = 1.25
"""Factor by which a piece may be played faster or slower than it is written."""

MAX_STEADY_VARIATION = 0.02
"""Share by which the tempo may waver before its own course is kept."""

NOISE_PROGRAMS = range(120, 128)
"""GM programs that are no instruments."""

LICENCE_FILES = ("LICENSE*", "LICENCE*", "COPYING*", "copyright")

BASS_PROGRAMS = range(32, 40)
"""GM programs of basses."""


def read_pieces(folder: Path) -> tuple[list[Score], dict[str, str]]:
    """The scores of a folder's MIDI files.

    Bars are those of the file's time signatures, or of a ``beat_midi.txt`` beside it, as POP909 has it. A
    piece in several metres gives a score for each stretch of :data:`MIN_BARS` bars or more.

    Args:
        folder: searched with its subfolders for .mid and .midi.

    Returns:
        The scores, and for each file, or stretch of one, left out why.

    Raises:
        DataError: no such folder, or no MIDI file in it.
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
    """What a folder says of its licence: the first line of the file that has it."""
    for pattern in LICENCE_FILES:
        for path in sorted(folder.glob(pattern)):
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
            first = next((line.strip() for line in lines if line.strip()), "")
            return printable(f"the MIDI file's own ({path.name}: {first[:100]}); dance: Apache-2.0")
    return "the MIDI file's own; dance: Apache-2.0"


def read_piece(path: Path, source: str, licence: str) -> list[Score | str]:
    """The scores of a MIDI file, or why not, for each stretch of one metre.

    Raises:
        DataError: not MIDI, no notes, or beats that cannot be.
    """
    annotation = path.with_name("beat_midi.txt")
    beats = pop909_beats(annotation) if annotation.is_file() else midi_beats(path)
    score = read_score(path)
    players, notes = _read_notes(score)
    found = [
        _make_score(beats, first, last, players, notes, source, licence)
        for first, last in _metre_stretches(beats.positions)
    ]
    return found or [f"no {MIN_BARS} bars one after the other in one metre; leave it out"]


def _read_notes(score: Any) -> tuple[list[tuple[str, int, bool]], NDArray[np.float64]]:
    """Role, program and drums of each part, and (N, 5) part, start, end in seconds, pitch, velocity."""
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
    """First beat, and beat behind the last, of stretches of whole bars of one metre."""
    starts = np.flatnonzero(positions == 1)
    lengths = np.diff(starts)
    stretches: list[tuple[int, int]] = []
    for bar, (start, length) in enumerate(zip(starts, lengths, strict=False)):
        follows = bar and length == lengths[bar - 1] and stretches
        if follows:
            stretches[-1] = (stretches[-1][0], int(start + length))
        else:
            stretches.append((int(start), int(start + length)))
    metre = {start: int(length) for start, length in zip(starts, lengths, strict=False)}
    return [(first, last) for first, last in stretches if last - first >= MIN_BARS * metre[first]]


def _make_score(
    beats: Beats,
    first: int,
    last: int,
    players: list[tuple[str, int, bool]],
    notes: NDArray[np.float64],
    source: str,
    licence: str,
) -> Score | str:
    """The score of the beats from ``first`` to before ``last``, or what speaks against it."""
    times = beats.times[first : last + 1]
    if len(times) == last - first:  # the last beat of the piece ends where another would come
        times = np.append(times, 2 * times[-1] - times[-2])
    metre = int(beats.positions[first:last].max())
    count = last - first
    step = np.diff(times)
    own = float(60 / np.median(step))
    if not MIN_BPM / MAX_TEMPO_CHANGE < own < MAX_BPM * MAX_TEMPO_CHANGE:
        return f"{own:.0f} beats a minute; expected {MIN_BPM:g} to {MAX_BPM:g}"
    written = np.interp(notes[:, 1], times, np.arange(count + 1.0), left=-1.0, right=count + 1.0)
    end = np.interp(notes[:, 2], times, np.arange(count + 1.0), right=count)
    inside = (written > -0.1) & (written < count - 0.1)
    rows = np.stack([notes[:, 0], written, np.maximum(end - written, 0.02), notes[:, 3], notes[:, 4]], axis=1)
    rows = rows[inside]
    if len(rows) < MIN_NOTES:
        return f"{len(rows)} notes; expected {MIN_NOTES} or more"
    signature = _signature(metre, rows[:, 1])
    if signature is None:
        return f"bars of {metre} beats; expected one of {', '.join(METRES)}"
    steady = float(np.ptp(step)) < MAX_STEADY_VARIATION * float(np.median(step))
    found = Score(
        source=source if first == 0 else f"{source}#{first}",
        piece=source,
        licence=licence,
        style=STYLE,
        signature=signature,
        metre=metre,
        beats=count,
        bpm=(max(MIN_BPM, own / MAX_TEMPO_CHANGE), min(MAX_BPM, own * MAX_TEMPO_CHANGE)),
        loop=(0, count),
        players=tuple(players),
        notes=rows[np.argsort(rows[:, 1], kind="stable")],
        seconds=None if steady else times - times[0],
    )
    return find_contradiction(found) or found


def _signature(metre: int, starts: NDArray[np.float64]) -> str | None:
    """The time signature of so many beats a bar, whose beats have two or three parts by their notes."""
    thirds, halves = (abs(np.mean(np.exp(2j * np.pi * parts * starts))) for parts in (3, 2))
    parts = 3 if thirds > halves else 2
    known = {kind: signature for signature, kind in METRES.items()}
    return known.get((metre, parts), known.get((metre, 2)))

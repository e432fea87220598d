"""Scores: complete arrangements from MMA or MIDI files, and excerpts of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import (
    LEAD_SECONDS,
    MAX_BPM,
    MAX_TIMING_ERROR_SECONDS,
    MIN_BPM,
    TEMPO_MARGIN,
    TEMPO_PROFILE_SHARES,
    TEMPO_PROFILES,
    Arrangement,
    Part,
    TempoMap,
    apply_fermata,
    tempo_map,
)
from motion_data.corpora.constructed.styles import BASS, CHORDS, MELODY, split_programs
from motion_data.corpora.constructed.tunes import METRES
from motion_data.errors import DataError
from motion_data.files import file_sha256, read_npz
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.tracking.grid import Grid

KITS = (0, 8, 16, 24, 25, 32, 40)
"""GM programs of the drum kits in use."""

PERCUSSION = range(35, 82)
"""General MIDI percussion."""

FORMAT = 1
"""Version of score files; a change makes corpora prepare their scores again."""

EDGE_SECONDS = 3.0
"""Maximum silence before the first bar of a score or after its last."""


@dataclass(frozen=True)
class Score:
    """An arrangement in beats, of whole bars in one metre."""

    source: str
    """``mma:LIBRARY/FILE:GROOVE`` or ``midi:FOLDER/FILE``."""
    piece: str
    """Name of the piece; all scores of a piece are in one split."""
    licence: str
    style: str
    """``mma`` or ``pieces``."""
    signature: str
    """One of :data:`~motion_data.corpora.constructed.tunes.METRES`."""
    metre: int
    """Beats per bar."""
    beats: int
    """Length; whole bars."""
    bpm: tuple[float, float]
    """Minimum and maximum tempo."""
    loop: tuple[int, int]
    """First beat and end beat of the loop that extends a short score; whole bars."""
    players: tuple[tuple[str, int, bool], ...]
    """Role, General MIDI program, and whether it is drums, of each part."""
    notes: NDArray[np.float64]
    """(N, 5) part index, onset and duration in beats, MIDI pitch, velocity; sorted by onset."""
    seconds: NDArray[np.float64] | None = None
    """(beats + 1,) times of the beats in the source; None for a constant tempo."""


def write_score(path: Path, score: Score) -> None:
    """Write a score atomically; equal scores give equal bytes."""
    header: dict[str, object] = {"format": FORMAT}
    header |= {key: value for key, value in vars(score).items() if key not in ("notes", "seconds")}
    arrays = {"notes": score.notes.astype(np.float32), "header": np.array(json.dumps(header))}
    if score.seconds is not None:
        arrays["seconds"] = score.seconds
    with atomic_path(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_score_file(path: Path) -> Score:
    """Read a score written by :func:`write_score`.

    Raises:
        DataError: the file is missing or invalid.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; prepare the corpus again")
    arrays = read_npz(path)
    try:
        header = json.loads(str(arrays["header"]))
        if (version := header.pop("format")) != FORMAT:
            raise ValueError(f"format {version}, expected {FORMAT}")
        for name in ("bpm", "loop"):
            header[name] = tuple(header[name])
        players = [(str(role), int(program), bool(drums)) for role, program, drums in header["players"]]
        header["players"] = tuple(players)
        score = Score(**header, notes=arrays["notes"].astype(np.float64), seconds=arrays.get("seconds"))
        _check_score(score)
        return score
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not a score of this project ({error}); prepare the corpus again") from error


def _check_score(score: Score) -> None:
    """Raises ValueError for an inconsistent score."""
    notes, seconds, (first, last), (slowest, fastest) = score.notes, score.seconds, score.loop, score.bpm
    if notes.ndim != 2 or notes.shape[1] != 5 or not np.isfinite(notes).all():
        raise ValueError("notes are not a table (N, 5) of finite numbers")
    if not all(isinstance(text, str) for text in (score.source, score.piece, score.licence, score.style)):
        raise ValueError("source, piece, licence or style is not a text")
    if METRES[score.signature][0] != score.metre:
        raise ValueError(f"{score.metre} beats in a bar of {score.signature}")
    if not all(isinstance(beat, int) for beat in (score.beats, first, last)):
        raise ValueError("beats or loop are not integers")
    if not 0 <= first < last <= score.beats or score.beats % score.metre:
        raise ValueError(f"{score.beats} beats with a loop from {first} to {last}")
    if not 0 < slowest <= fastest < 1000:
        raise ValueError(f"tempi of {slowest} to {fastest} bpm")
    if not np.isin(notes[:, 0], np.arange(len(score.players))).all():
        raise ValueError("notes of an unknown player")
    if seconds is not None and not (seconds.shape == (score.beats + 1,) and (np.diff(seconds) > 0).all()):
        raise ValueError("times of the beats do not increase")


@lru_cache(maxsize=256)
def load_score(path: Path, sha256: str) -> Score:
    """Read a score and compare its file with the hash from the preparation.

    Raises:
        DataError: the file is missing or has changed.
    """
    score = read_score_file(path)
    if (digest := file_sha256(path)) != sha256:
        raise DataError(
            f"{path}: the score has changed since the corpus was prepared (sha256 {digest[:12]}, expected "
            f"{sha256[:12]}); prepare the corpus again"
        )
    return score


@dataclass(frozen=True)
class ScoreEntry:
    """Reference to a score in the plan of a pair."""

    path: str
    """Relative to the folder of the corpus."""
    sha256: str
    source: str
    piece: str
    licence: str
    signature: str
    bpm: tuple[float, float]


def arrange_score(
    score: Score, split: str, seconds: float, bpm: float, rng: np.random.Generator
) -> Arrangement:
    """Arrange an excerpt of a score: transposed, at a tempo, with instruments of a split.

    The excerpt may begin before the score or end after it; there are no beats outside the score.

    Args:
        score: the complete score.
        split: train, dev or test.
        seconds: length of the pair.
        bpm: approximate median tempo.
        rng: for all choices.

    Raises:
        DataError: the excerpt has no notes.
    """
    needed_beats = seconds * bpm * TEMPO_MARGIN / 60 + LEAD_SECONDS * TEMPO_MARGIN * bpm / 60
    notes, beats, times = _unroll(score, needed_beats)
    edge = EDGE_SECONDS * bpm / 60 if rng.random() < 0.25 else 0.0
    lead = 0.0 if edge else LEAD_SECONDS * TEMPO_MARGIN * bpm / 60
    zero = float(rng.uniform(lead - edge, max(lead, beats - seconds * bpm * TEMPO_MARGIN / 60 + edge)))
    profile = "own"
    if times is None:
        profile = str(rng.choice(TEMPO_PROFILES, p=TEMPO_PROFILE_SHARES))
        # The map covers the excerpt only and begins with its first bar.
        before = score.metre * np.floor((zero - LEAD_SECONDS * TEMPO_MARGIN * bpm / 60) / score.metre)
        drawn = tempo_map(bpm, needed_beats + 2 * score.metre, score.metre, profile, zero - before, rng)
        fermata = None if drawn.fermata_beat is None else drawn.fermata_beat + before
        tempo = TempoMap(drawn.beats + before, drawn.seconds, fermata)
    else:
        source = TempoMap(np.arange(beats + 1.0), times * (60 / float(np.median(np.diff(times))) / bpm))
        tempo = TempoMap(source.beats, source.seconds - source.at(zero))

    transposition = int(rng.integers(-5, 7))
    playing = _draw_players(score, rng)
    looseness = float(rng.choice([0.0, 0.0, 0.004, 0.008]))
    parts = []
    for index, (role, program, drums) in enumerate(score.players):
        part_notes = notes[notes[:, 0] == index, 1:]
        if tempo.fermata_beat is not None:
            part_notes = apply_fermata(part_notes, tempo.fermata_beat)
        new_program = _draw_program(role, program, split, rng)
        performed = _perform_notes(part_notes, drums, 0 if drums else transposition, tempo, looseness, rng)
        performed = performed[(performed[:, 0] >= -LEAD_SECONDS) & (performed[:, 0] < seconds)]
        if index in playing and len(performed):
            parts.append(Part(role, new_program, drums, performed))
    if not parts:
        raise DataError(f"{score.source}: the excerpt has no notes; leave it out")

    beat = np.arange(beats)
    beat_times = tempo.at(beat)
    inside = (beat_times >= 0) & (beat_times < seconds)
    grid = Grid(beat_times[inside], beat[inside] % score.metre + 1, score.metre)
    speed = np.log(bpm / MIN_BPM) / np.log(MAX_BPM / MIN_BPM)
    energy = float(np.clip(0.4 + 0.3 * speed + rng.normal(0, 0.1), 0.05, 1.0))
    return Arrangement(tuple(parts), grid, score.style, bpm, energy, 0.5, profile, seconds)


def _unroll(score: Score, needed: float) -> tuple[NDArray[np.float64], int, NDArray[np.float64] | None]:
    """Notes, number of beats and beat times of a score, its loop repeated to at least ``needed`` beats."""
    first, last = score.loop
    repeats = max(0, int(np.ceil((needed - score.beats) / (last - first))))
    notes, length = score.notes, last - first
    starts = notes[:, 1]
    loop = notes[(starts >= first) & (starts < last)]
    shift = np.array([0.0, 1.0, 0.0, 0.0, 0.0]) * length
    copies = [loop + (repeat + 1) * shift for repeat in range(repeats)]
    unrolled = np.concatenate([notes[starts < last], *copies, notes[starts >= last] + repeats * shift])
    times = score.seconds
    if times is not None and repeats:
        steps = np.diff(times)
        steps = np.concatenate([steps[:last], *[steps[first:last]] * repeats, steps[last:]])
        times = times[0] + np.concatenate([[0.0], np.cumsum(steps)])
    return unrolled[np.argsort(unrolled[:, 1], kind="stable")], score.beats + repeats * length, times


def _draw_players(score: Score, rng: np.random.Generator) -> set[int]:
    """Draw the players: mostly all, otherwise no drums, only drums, or no melody."""
    everyone = set(range(len(score.players)))
    drums = {index for index in everyone if score.players[index][2]}
    melody = {index for index in everyone if score.players[index][0] == "melody"}
    choices = (everyone, everyone - drums, drums, everyone - melody)
    chosen = choices[rng.choice(len(choices), p=(0.62, 0.12, 0.06, 0.2))]
    return chosen or everyone


def _draw_program(role: str, program: int, split: str, rng: np.random.Generator) -> int:
    """Draw the program of a part: its own or one of its family, limited to programs of the split."""
    if role == "drums":
        return int(rng.choice(KITS)) if rng.random() < 0.5 or program not in KITS else program
    if role == "bass":
        return program if program in BASS and rng.random() < 0.5 else int(rng.choice(BASS))
    if role == "melody":
        return int(rng.choice(split_programs(split, MELODY)))
    allowed = split_programs(split, CHORDS)
    family = [other for other in allowed if other // 8 == program // 8]
    if program in family and rng.random() < 0.5:
        return program
    return int(rng.choice(family or allowed))


def _perform_notes(
    notes: NDArray[np.float64],
    drums: bool,
    transposition: int,
    tempo: TempoMap,
    looseness: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(N, 4) notes in seconds, with timing errors and scaled velocities, sorted by onset."""
    start, length, pitch, velocity = notes.T
    begin = tempo.at(start)
    duration = np.maximum(tempo.at(start + length) - begin, 0.04)
    onsets, onset_of = np.unique(np.round(start * 96), return_inverse=True)
    errors = rng.normal(0, looseness * (0.5 if drums else 1.0), len(onsets))[onset_of]
    begin = begin + np.clip(errors, -MAX_TIMING_ERROR_SECONDS, MAX_TIMING_ERROR_SECONDS)
    velocity = np.clip(velocity * rng.uniform(0.75, 1.15), 12, 127)
    rows = np.stack([begin, duration, np.clip(pitch + transposition, 12, 115), velocity], axis=1)
    performed: NDArray[np.float64] = rows[np.argsort(begin, kind="stable")]
    return performed


Scores = Mapping[tuple[str, str], Sequence[ScoreEntry]]
"""Scores by split and by style, ``mma`` or ``pieces``."""

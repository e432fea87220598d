"""Whole arrangements that others wrote, MMA's accompaniments and MIDI files, and stretches of them."""

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
"""GM programs of the drum kits that are played."""

PERCUSSION = range(35, 82)
"""General MIDI's percussion."""

FORMAT = 1
"""Goes up when scores are made otherwise, so that those of old corpora are made again."""

EDGE_SECONDS = 3.0
"""Seconds of silence that may be before the first bar of a score or after its last."""


@dataclass(frozen=True)
class Score:
    """An arrangement written in beats, as many as it has in whole bars of one metre."""

    source: str
    """Where it is from: ``mma:LIBRARY/FILE:GROOVE`` or ``midi:FOLDER/FILE``."""
    piece: str
    """Name of the piece; all scores of a piece are in one split."""
    licence: str
    style: str
    """What it is called among the styles: ``mma`` or ``pieces``."""
    signature: str
    """One of :data:`~motion_data.corpora.constructed.tunes.METRES`."""
    metre: int
    """Beats a bar."""
    beats: int
    """Its length: whole bars."""
    bpm: tuple[float, float]
    """Slowest and fastest tempo at which it may be played."""
    loop: tuple[int, int]
    """Beats from which on, and until which, it is repeated where it is too short; whole bars."""
    players: tuple[tuple[str, int, bool], ...]
    """Role, General MIDI program, and whether it is drums, of each part."""
    notes: NDArray[np.float64]
    """(N, 5) index of the part, start and length in beats, MIDI pitch, velocity; in order of their starts."""
    seconds: NDArray[np.float64] | None = None
    """(beats + 1,) when each beat came in its source; None where the tempo was steady."""


def write_score(path: Path, score: Score) -> None:
    """Write a score, whole or not at all; the same bytes for the same score."""
    header: dict[str, object] = {"format": FORMAT}
    header |= {key: value for key, value in vars(score).items() if key not in ("notes", "seconds")}
    arrays = {"notes": score.notes.astype(np.float32), "header": np.array(json.dumps(header))}
    if score.seconds is not None:
        arrays["seconds"] = score.seconds
    with atomic_path(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_score_file(path: Path) -> Score:
    """What :func:`write_score` wrote.

    Raises:
        DataError: no such file, or no score.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; prepare the corpus again")
    arrays = read_npz(path)
    try:
        header = json.loads(str(arrays["header"]))
        if header.pop("format") != FORMAT:
            raise ValueError("another format")
        for name in ("bpm", "loop"):
            header[name] = tuple(header[name])
        players = [(str(role), int(program), bool(drums)) for role, program, drums in header["players"]]
        header["players"] = tuple(players)
        score = Score(**header, notes=arrays["notes"].astype(np.float64), seconds=arrays.get("seconds"))
        if fault := _find_error(score):
            raise ValueError(fault)
        return score
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not a score of this project ({error}); prepare the corpus again") from error


def _find_error(score: Score) -> str:
    """What cannot be about a score; empty where all can."""
    notes, seconds, (first, last), (slowest, fastest) = score.notes, score.seconds, score.loop, score.bpm
    if notes.ndim != 2 or notes.shape[1] != 5 or not np.isfinite(notes).all():
        return "notes that cannot be"
    texts = (score.source, score.piece, score.licence, score.style)
    faults = (
        (not all(isinstance(text, str) for text in texts), "names that are no text"),
        (METRES[score.signature][0] != score.metre, f"{score.metre} beats in a bar of {score.signature}"),
        (not all(isinstance(beat, int) for beat in (score.beats, first, last)), "beats that are no numbers"),
        (not 0 <= first < last <= score.beats or score.beats % score.metre, f"{score.beats} beats"),
        (not 0 < slowest <= fastest < 1000, f"tempi of {slowest} to {fastest}"),
        (not np.isin(notes[:, 0], np.arange(len(score.players))).all(), "notes of no player"),
        (
            seconds is not None
            and not (seconds.shape == (score.beats + 1,) and bool((np.diff(seconds) > 0).all())),
            "times that do not increase",
        ),
    )
    return next((fault for wrong, fault in faults if wrong), "")


@lru_cache(maxsize=256)
def load_score(path: Path, sha256: str) -> Score:
    """A score, if its file is the one that was prepared.

    Raises:
        DataError: it is missing or has changed.
    """
    score = read_score_file(path)
    if (found := file_sha256(path)) != sha256:
        raise DataError(
            f"{path}: another score than the corpus was prepared with (sha256 {found[:12]}, expected "
            f"{sha256[:12]}); prepare the corpus again"
        )
    return score


@dataclass(frozen=True)
class ScoreEntry:
    """What the plan of a pair has to know of a score."""

    path: str
    """From the folder of the corpus."""
    sha256: str
    source: str
    piece: str
    licence: str
    signature: str
    bpm: tuple[float, float]


def arrange_score(
    score: Score, split: str, seconds: float, bpm: float, rng: np.random.Generator
) -> Arrangement:
    """A stretch of a score, transposed, at a tempo, for instruments of a split.

    The stretch may begin before the score does, or end after it: there is no beat where there is no score.

    Args:
        score: all of it.
        split: train, dev or test.
        seconds: length of the pair.
        bpm: its median tempo, about.
        rng: for all choices.
    """
    needed = seconds * bpm * TEMPO_MARGIN / 60 + LEAD_SECONDS * TEMPO_MARGIN * bpm / 60
    notes, beats, times = _unroll(score, needed)
    edge = EDGE_SECONDS * bpm / 60 if rng.random() < 0.25 else 0.0
    lead = 0.0 if edge else LEAD_SECONDS * TEMPO_MARGIN * bpm / 60
    zero = float(rng.uniform(lead - edge, max(lead, beats - seconds * bpm * TEMPO_MARGIN / 60 + edge)))
    course = "own"
    if times is None:
        course = str(rng.choice(TEMPO_PROFILES, p=TEMPO_PROFILE_SHARES))
        # The tempo takes its course over the stretch that is heard, whose first bar is the map's first.
        before = score.metre * np.floor((zero - LEAD_SECONDS * TEMPO_MARGIN * bpm / 60) / score.metre)
        drawn = tempo_map(bpm, needed + 2 * score.metre, score.metre, course, zero - before, rng)
        held = None if drawn.fermata_beat is None else drawn.fermata_beat + before
        tempo = TempoMap(drawn.beats + before, drawn.seconds, held)
    else:
        own = TempoMap(np.arange(beats + 1.0), times * (60 / float(np.median(np.diff(times))) / bpm))
        tempo = TempoMap(own.beats, own.seconds - own.at(zero))

    transposition = int(rng.integers(-5, 7))
    heard = _draw_players(score, rng)
    looseness = float(rng.choice([0.0, 0.0, 0.004, 0.008]))
    parts = []
    for index, (role, program, drums) in enumerate(score.players):
        own_notes = notes[notes[:, 0] == index, 1:]
        if tempo.fermata_beat is not None:
            own_notes = apply_fermata(own_notes, tempo.fermata_beat)
        chosen = _draw_program(role, program, split, rng)
        part = _perform_notes(own_notes, drums, 0 if drums else transposition, tempo, looseness, rng)
        part = part[(part[:, 0] >= -LEAD_SECONDS) & (part[:, 0] < seconds)]
        if index in heard and len(part):
            parts.append(Part(role, chosen, drums, part))
    if not parts:
        raise DataError(f"{score.source}: nothing is played in the stretch that was drawn; leave it out")

    beat = np.arange(beats)
    at = tempo.at(beat)
    inside = (at >= 0) & (at < seconds)
    grid = Grid(at[inside], beat[inside] % score.metre + 1, score.metre)
    speed = np.log(bpm / MIN_BPM) / np.log(MAX_BPM / MIN_BPM)
    energy = float(np.clip(0.4 + 0.3 * speed + rng.normal(0, 0.1), 0.05, 1.0))
    return Arrangement(tuple(parts), grid, score.style, bpm, energy, 0.5, course, seconds)


def _unroll(score: Score, needed: float) -> tuple[NDArray[np.float64], int, NDArray[np.float64] | None]:
    """Notes, beats and times of a score whose loop is repeated until it has as many beats as needed."""
    first, last = score.loop
    more = max(0, int(np.ceil((needed - score.beats) / (last - first))))
    notes, length = score.notes, last - first
    starts = notes[:, 1]
    again = notes[(starts >= first) & (starts < last)]
    shift = np.array([0.0, 1.0, 0.0, 0.0, 0.0]) * length
    copies = [again + (turn + 1) * shift for turn in range(more)]
    whole = np.concatenate([notes[starts < last], *copies, notes[starts >= last] + more * shift])
    times = score.seconds
    if times is not None and more:
        steps = np.diff(times)
        steps = np.concatenate([steps[:last], *[steps[first:last]] * more, steps[last:]])
        times = times[0] + np.concatenate([[0.0], np.cumsum(steps)])
    return whole[np.argsort(whole[:, 1], kind="stable")], score.beats + more * length, times


def _draw_players(score: Score, rng: np.random.Generator) -> set[int]:
    """Who is heard: all most often; else no drums, drums alone, or no melody."""
    everyone = set(range(len(score.players)))
    drums = {index for index in everyone if score.players[index][2]}
    melody = {index for index in everyone if score.players[index][0] == "melody"}
    choices = (everyone, everyone - drums, drums, everyone - melody)
    chosen = choices[rng.choice(len(choices), p=(0.62, 0.12, 0.06, 0.2))]
    return chosen or everyone


def _draw_program(role: str, program: int, split: str, rng: np.random.Generator) -> int:
    """A program for a part: its own, or one of its family, where the split may play that."""
    if role == "drums":
        return int(rng.choice(KITS)) if rng.random() < 0.5 or program not in KITS else program
    if role == "bass":
        return program if program in BASS and rng.random() < 0.5 else int(rng.choice(BASS))
    if role == "melody":
        return int(rng.choice(split_programs(split, MELODY)))
    allowed = split_programs(split, CHORDS)
    family = [one for one in allowed if one // 8 == program // 8]
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
    """(N, 4) notes in seconds, with a player's timing and loudness."""
    start, length, pitch, velocity = notes.T
    begin = tempo.at(start)
    lasting = np.maximum(tempo.at(start + length) - begin, 0.04)
    strokes, of = np.unique(np.round(start * 96), return_inverse=True)
    scatter = rng.normal(0, looseness * (0.5 if drums else 1.0), len(strokes))[of]
    loud = np.clip(velocity * rng.uniform(0.75, 1.15), 12, 127)
    played = np.stack(
        [
            begin + np.clip(scatter, -MAX_TIMING_ERROR_SECONDS, MAX_TIMING_ERROR_SECONDS),
            lasting,
            np.clip(pitch + transposition, 12, 115),
            loud,
        ],
        axis=1,
    )
    in_order: NDArray[np.float64] = played[np.argsort(played[:, 0], kind="stable")]
    return in_order


Scores = Mapping[tuple[str, str], Sequence[ScoreEntry]]
"""Scores by split and by style, ``mma`` or ``pieces``."""

"""Accompaniments by the program MMA (Musical MIDI Accompaniment, GPL-2+): one score per groove."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import MAX_BPM, MIN_BPM, harmonise
from motion_data.corpora.constructed.score_check import find_contradiction
from motion_data.corpora.constructed.scores import PERCUSSION, Score, read_score_file, write_score
from motion_data.corpora.constructed.tunes import METRES, TICKS_PER_BEAT, Tune, generate_tune
from motion_data.errors import DataError
from motion_data.midi_file import read_score
from motionbeat_upstream.file_name import printable

STYLE = "mma"

LICENCE = "groove of MMA's library (GPL-2+), melody, chords and dance: Apache-2.0"

INSTALL_HINT = "apt-get install mma (or apt-get download mma, dpkg -x, and --mma its usr/bin/mma)"

LIBRARIES = ("usr/share/mma", "share/mma", "mma", ".")
"""Locations of MMA's folder (with MMA and lib in it), relative to a parent folder of the program."""

SIDE_GROOVES = re.compile(
    r"(?i:Intro|Ending|Fill|Break|Metronome)|(?i:End|Count|Test)\d*[A-Z]?$|[a-z\d](F[A-D]+|E)$"
)
"""Grooves that are not main parts; introductions and endings are played with their main part."""

INTRO_BARS, MAIN_BARS, ENDING_BARS = 4, 16, 2
"""Bars of each section."""

FIRST_TUNE_NUMBER = 100_000
"""Number of the first generated tune for grooves; pairs without MMA use smaller numbers."""

TIMEOUT_SECONDS = 60.0
"""MMA usually takes about 0.3 s."""

BAR_MARKER = "bar"
"""Text of the marker at the beginning of each bar."""

MAX_ONSET_RATE, MIN_ONSET_RATE = 8.5, 2.2
"""Range of onsets per second of an accompaniment, which limits its tempi."""

MAX_COMPOUND_BPM = 150.0
"""Maximum tempo in compound metres."""

TEMPO_WORDS: Mapping[str, tuple[float, float]] = {
    "ballad": (MIN_BPM, 96.0),
    "slow": (MIN_BPM, 100.0),
    "lullaby": (MIN_BPM, 100.0),
    "hymn": (MIN_BPM, 110.0),
    "fast": (130.0, MAX_BPM),
    "bebop": (120.0, MAX_BPM),
    "quickstep": (120.0, MAX_BPM),
    "viennese": (120.0, MAX_BPM),
    "vienese": (120.0, MAX_BPM),
    "techno": (110.0, 165.0),
    "trance": (110.0, 165.0),
}
"""Tempo range of grooves whose name contains a word."""


@dataclass(frozen=True)
class Program:
    """An installation of MMA."""

    path: Path
    home: Path
    """Folder of its library."""


@dataclass(frozen=True)
class Groove:
    """A groove of the library."""

    file: str
    """Path in the library, without suffix: ``stdlib/jazzwaltz``."""
    name: str
    signature: str
    """Time signature according to the file; :func:`play_groove` checks it."""
    intro: str | None
    """Matching introduction of the same file."""
    ending: str | None


def find_program(wanted: str) -> Program:
    """Find MMA's program and library.

    Args:
        wanted: path of the program, or ``auto`` for the one on the search path.

    Raises:
        DataError: there is no program or library; the message says how to install it.
    """
    program = shutil.which("mma") if wanted == "auto" else wanted
    if program is None or not Path(program).is_file():
        raise DataError(f"--mma {wanted}: no such program; {INSTALL_HINT}, or leave --mma out")
    path = Path(program).resolve()
    for parent in path.parents[:4]:
        for folder in LIBRARIES:
            if (parent / folder / "MMA").is_dir() and (parent / folder / "lib").is_dir():
                return Program(path, parent / folder)
    raise DataError(f"{path}: no MMA library beside it (usr/share/mma with MMA and lib); {INSTALL_HINT}")


def find_grooves(program: Program) -> list[Groove]:
    """Main grooves of the library, with their introductions and endings, sorted by name."""
    library = program.home / "lib"
    grooves = []
    for path in sorted(library.rglob("*.mma")):
        defined = _read_definitions(path.read_text(encoding="latin-1"))
        lower = {name.lower(): name for name in defined}
        file = path.relative_to(library).with_suffix("").as_posix()
        for name, signature in defined.items():
            if not SIDE_GROOVES.search(name):
                intro = _find_side_groove(name, lower, ("intro", "intro1"))
                ending = _find_side_groove(name, lower, ("end", "ending", "e"))
                grooves.append(Groove(file, name, signature, intro, ending))
    return grooves


def _read_definitions(text: str) -> dict[str, str]:
    """Grooves of a file and their time signatures, 4/4 by default.

    MMA gives the length of bars in quarters (``Time``); 6/8 has six of them, or two divided into triplets.
    """
    defined: dict[str, str] = {}
    quarters, signature = 4, ""
    for line in text.splitlines():
        words = line.split("//")[0].split()
        if len(words) < 2:
            continue
        match words[0].lower():
            case "time" if words[1].split("/")[0].isdigit():
                quarters = int(words[1].split("/")[0])
            case "timesig":
                signature = "/".join(words[1:3])
            case "defgroove":
                compound = quarters == 6 or signature == "6/8"
                defined.setdefault(words[1], "6/8" if compound else f"{quarters}/4")
    return defined


def _find_side_groove(name: str, names: Mapping[str, str], kinds: Sequence[str]) -> str | None:
    """Introduction or ending of a groove, among the lower-case names of its file.

    ``Waltz`` and ``WaltzSus`` have ``WaltzIntro``; ``WaltzMainB`` has ``WaltzIntroB`` or ``WaltzIntroA``.
    """
    family = re.sub(r"(Sus|Plus|\d)+$", "", name)
    candidates = [f"{stem}{kind}" for stem in (name, family) for kind in kinds]
    if part := re.fullmatch(r"(.+?)(?:Main)?([A-D])", name):
        candidates += [f"{part[1]}{kind}{letter}" for letter in (part[2], "A", "") for kind in kinds]
    return next((names[name.lower()] for name in candidates if name.lower() in names), None)


def score_path(groove: Groove, folder: Path) -> Path:
    """Path of a groove's score."""
    return folder / printable(f"mma-{groove.file.replace('/', '-')}-{groove.name}.npz".replace("/", "-"))


def load_or_play_groove(program: Program, folder: Path, groove: Groove) -> tuple[str, Score | str]:
    """A groove's name, and its score, read or newly written, or the reason to leave it out."""
    source = f"mma:{groove.file}:{groove.name}"
    path = score_path(groove, folder)
    try:
        score = read_score_file(path)
        if score.source == source:
            return source, find_contradiction(score) or score
    except DataError:
        pass  # missing or damaged
    try:
        write_score(path, play_groove(program, groove))
    except DataError as error:
        return source, str(error)
    # The file has a lower precision than the score.
    score = read_score_file(path)
    return source, find_contradiction(score) or score


def play_groove(program: Program, groove: Groove) -> Score:
    """Let MMA play a groove over the chords of a generated tune.

    Raises:
        DataError: MMA fails, or the groove's metre is not supported.
    """
    source = f"mma:{groove.file}:{groove.name}"
    if groove.signature not in METRES:
        raise DataError(f"{source}: {groove.signature}; expected one of {', '.join(METRES)}")
    number, tune = groove_tune(groove)
    score = _run_mma(program, _script(groove, tune, number), source)
    bars = np.array([mark.time for mark in score.markers if mark.text == BAR_MARKER], dtype=np.float64)
    metre, parts = METRES[groove.signature]
    steps = np.diff(bars)
    expected = (INTRO_BARS if groove.intro else 0) + MAIN_BARS + ENDING_BARS
    if len(bars) != expected or np.ptp(steps) > 0:
        raise DataError(
            f"{source}: {len(bars)} bars of {len(set(steps.tolist()))} lengths; expected {expected} bars of "
            f"one length: leave it out"
        )
    quarters = steps[0] / score.ticks_per_quarter
    if quarters not in ((metre, 3 * metre) if parts == 3 else (metre,)):
        raise DataError(
            f"{source}: bars of {quarters:g} quarters do not fit the time signature {groove.signature}; "
            f"leave it out"
        )
    beat = float(steps[0]) / metre
    players: list[tuple[str, int, bool]] = []
    rows = []
    for track in score.tracks:
        columns = track.notes.numpy()
        pitch = columns["pitch"].astype(np.float64)
        valid = np.isin(pitch, PERCUSSION) if track.is_drum else np.ones(len(pitch), dtype=bool)
        if valid.any():
            start, length = columns["time"] / beat, np.maximum(columns["duration"] / beat, 0.02)
            part = np.full(len(pitch), float(len(players)))
            velocity = columns["velocity"].astype(np.float64)
            rows.append(np.stack([part, start, length, pitch, velocity], axis=1)[valid])
            players.append((_role(track), int(track.program), bool(track.is_drum)))
    if not rows:
        raise DataError(f"{source}: no notes; leave it out")
    first = (INTRO_BARS if groove.intro else 0) * metre
    length = len(bars) * metre
    rows.append(_melody_rows(tune, first, len(players)))
    players.append(("melody", 0, False))
    notes = np.concatenate(rows)
    notes = notes[(notes[:, 1] > -0.1) & (notes[:, 1] < length)]
    accompaniment = notes[notes[:, 0] < len(players) - 1, 1]
    return Score(
        source=source,
        piece=f"mma:{groove.file}",
        licence=LICENCE,
        style=STYLE,
        signature=groove.signature,
        metre=metre,
        beats=length,
        bpm=tempo_range(accompaniment, length, f"{groove.file} {groove.name}", parts == 3),
        loop=(first, first + MAIN_BARS * metre),
        players=tuple(players),
        notes=notes[np.argsort(notes[:, 1], kind="stable")],
    )


def groove_tune(groove: Groove) -> tuple[int, Tune]:
    """Number and generated tune that gives a groove its chords and melody."""
    digest = hashlib.sha256(f"{groove.file}:{groove.name}".encode()).digest()
    number = FIRST_TUNE_NUMBER + int.from_bytes(digest[:3])
    return number, generate_tune(groove.signature, number)


def tempo_range(
    starts: NDArray[np.float64], beats: float, name: str, compound: bool = False
) -> tuple[float, float]:
    """Minimum and maximum tempo of an accompaniment, from its onsets per beat and its name.

    Four onsets per beat at 200 bpm would be heard as 100 bpm, so that the label would be wrong.

    Args:
        starts: (N,) onsets in beats.
        beats: length of the accompaniment.
        name: of the groove and its file.
        compound: whether beats have three parts, which limits the tempo further.
    """
    onsets_per_beat = max(len(np.unique(np.round(starts * 6))) / beats, 0.5)
    slowest = np.clip(60 * MIN_ONSET_RATE / onsets_per_beat, MIN_BPM, 100.0)
    max_bpm = MAX_COMPOUND_BPM if compound else MAX_BPM
    fastest = np.clip(60 * MAX_ONSET_RATE / onsets_per_beat, 100.0, max_bpm)
    for word, (low, high) in TEMPO_WORDS.items():
        if word in name.lower():
            slowest, fastest = max(slowest, low), min(fastest, high)
    return float(min(slowest, fastest * 0.8)), float(fastest)


def _script(groove: Groove, tune: Tune, seed: int) -> str:
    """Source text of a piece for MMA: introduction, main part and ending over the tune's chords."""
    chords = chord_names(tune, np.random.default_rng([seed, 1]))
    lines = [f"RndSeed {seed}", "Tempo 120"]
    sections = [
        (groove.intro, chords[-INTRO_BARS:]),
        (groove.name, chords),
        (groove.ending or groove.name, [chords[0]] * ENDING_BARS),
    ]
    for name, bars in sections:
        if name is not None:
            lines.append(f"Groove {groove.file}:{name}")
            for chord in bars:
                lines += [f"MidiMark {BAR_MARKER}", chord]
    return "\n".join([*lines, ""])


NOTE_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


def chord_names(tune: Tune, rng: np.random.Generator) -> list[str]:
    """MMA's names of one chord per bar: the tune's triads, some with sevenths, sixths or ninths."""
    names = []
    tonic = tune.scale[0]
    for root, third, _ in harmonise(tune).tolist():
        minor = (third - root) % 12 == 3
        dominant = (root - tonic) % 12 == 7 and not minor
        kinds = ("m", "m7", "m9") if minor else ("7", "9", "") if dominant else ("", "M7", "6")
        names.append(NOTE_NAMES[root] + str(rng.choice(kinds, p=(0.6, 0.3, 0.1))))
    return names


def _melody_rows(tune: Tune, first: int, part: int) -> NDArray[np.float64]:
    """(N, 5) notes of the tune, shifted to begin at beat ``first``."""
    start, length, pitch = tune.notes.T
    velocity = 80.0 + 8.0 * (start % (tune.metre * TICKS_PER_BEAT) == 0)
    return np.stack(
        [
            np.full(len(start), float(part)),
            start / TICKS_PER_BEAT + first,
            length / TICKS_PER_BEAT * 0.9,
            pitch + 0.0,
            velocity,
        ],
        axis=1,
    )


def _role(track: Any) -> str:
    """Role of a track by MMA's track names: Bass-Sub, Walk, Chord-Piano, Drum-Kick, …"""
    if track.is_drum:
        return "drums"
    return "bass" if track.name.lower().startswith(("bass", "walk")) else "chords"


def _run_mma(program: Program, script: str, source: str) -> Any:
    """Run MMA on a script and read the resulting symusic score.

    Raises:
        DataError: MMA fails or takes too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        text, midi = Path(folder) / "piece.mma", Path(folder) / "piece.mid"
        text.write_text(script, encoding="latin-1")
        environment = {**os.environ, "MMA_HOME": str(program.home), "HOME": folder}
        try:
            process = subprocess.run(
                ["python3", str(program.path), "-f", str(midi), str(text)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DataError(
                f"{source}: MMA has not finished after {TIMEOUT_SECONDS:.0f} s; leave it out"
            ) from None
        except OSError as error:
            raise DataError(
                f"{program.path}: it needs python3, which cannot start ({error.strerror}); install python3"
            ) from None
        if process.returncode or not midi.is_file():
            lines = process.stdout.splitlines()
            lines = [line for line in lines if "ERROR" in line.upper()] or lines
            message = " ".join(" ".join(lines[-2:]).split())[:200]
            raise DataError(f"{source}: MMA cannot play it ({message}); leave it out")
        return read_score(midi)

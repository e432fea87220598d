"""Accompaniments by MMA (Musical MIDI Accompaniment, GPL-2+), which is called as a program: one a groove."""

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
"""Where MMA's own folder, with MMA and lib in it, may be, from a folder above its program."""

SIDE_GROOVES = re.compile(
    r"(?i:Intro|Ending|Fill|Break|Metronome)|(?i:End|Count|Test)\d*[A-Z]?$|[a-z\d](F[A-D]+|E)$"
)
"""Grooves that are no main part: an introduction or an ending is played with its main part."""

INTRO_BARS, MAIN_BARS, ENDING_BARS = 4, 16, 2
"""Bars of each section."""

FIRST_TUNE_NUMBER = 100_000
"""Number of the first made tune that gives chords and melody to a groove; no pair has it alone."""

TIMEOUT_SECONDS = 60.0
"""Seconds that MMA may take; it takes some 0.3 s."""

BAR_MARKER = "bar"
"""Text of the marker at the beginning of each bar."""

MAX_ONSET_RATE, MIN_ONSET_RATE = 8.5, 2.2
"""Times a second at which an accompaniment may strike, and should: they bound its tempi."""

MAX_COMPOUND_BPM = 150.0
"""Beats a minute of three parts each."""

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
"""Tempi of what is called so."""


@dataclass(frozen=True)
class Program:
    """MMA as it is installed."""

    path: Path
    home: Path
    """Folder with its library."""


@dataclass(frozen=True)
class Groove:
    """A groove of the library."""

    file: str
    """From the library's folder, without its suffix: ``stdlib/jazzwaltz``."""
    name: str
    signature: str
    """Time signature by the file; whether the groove keeps to it is seen when it is played."""
    intro: str | None
    """The introduction that belongs to it, of the same file."""
    ending: str | None


def find_program(wanted: str) -> Program:
    """MMA's program and library.

    Args:
        wanted: path of the program, or ``auto`` for the one on the search path.

    Raises:
        DataError: none; the message says how to get it.
    """
    found = shutil.which("mma") if wanted == "auto" else wanted
    if found is None or not Path(found).is_file():
        raise DataError(f"--mma {wanted}: no such program; {INSTALL_HINT}, or leave --mma out")
    path = Path(found).resolve()
    for above in path.parents[:4]:
        for folder in LIBRARIES:
            if (above / folder / "MMA").is_dir() and (above / folder / "lib").is_dir():
                return Program(path, above / folder)
    raise DataError(f"{path}: no MMA library beside it (usr/share/mma with MMA and lib); {INSTALL_HINT}")


def find_grooves(program: Program) -> list[Groove]:
    """The main grooves of the library, with their introductions and endings, in order of their names."""
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
    """Grooves of a file and their time signatures: 4/4 until it says something else.

    MMA counts bars in quarters (``Time``), those of 6/8 in six of them, or in two that are cut in three.
    """
    defined: dict[str, str] = {}
    quarters, written = 4, ""
    for line in text.splitlines():
        words = line.split("//")[0].split()
        if len(words) < 2:
            continue
        match words[0].lower():
            case "time" if words[1].split("/")[0].isdigit():
                quarters = int(words[1].split("/")[0])
            case "timesig":
                written = "/".join(words[1:3])
            case "defgroove":
                compound = quarters == 6 or written == "6/8"
                defined.setdefault(words[1], "6/8" if compound else f"{quarters}/4")
    return defined


def _find_side_groove(name: str, names: Mapping[str, str], kinds: Sequence[str]) -> str | None:
    """The introduction or ending of a groove, among its file's names in lower case.

    ``Waltz`` has ``WaltzIntro``, which ``WaltzSus`` has too; ``WaltzMainB`` has ``WaltzIntroB``, or ``…A``.
    """
    family = re.sub(r"(Sus|Plus|\d)+$", "", name)
    wanted = [f"{stem}{kind}" for stem in (name, family) for kind in kinds]
    if part := re.fullmatch(r"(.+?)(?:Main)?([A-D])", name):
        wanted += [f"{part[1]}{kind}{letter}" for letter in (part[2], "A", "") for kind in kinds]
    return next((names[one.lower()] for one in wanted if one.lower() in names), None)


def score_path(groove: Groove, folder: Path) -> Path:
    """Where a groove's score is kept."""
    return folder / printable(f"mma-{groove.file.replace('/', '-')}-{groove.name}.npz".replace("/", "-"))


def load_or_play_groove(program: Program, folder: Path, groove: Groove) -> tuple[str, Score | str]:
    """A groove's name and score, kept from an earlier call or written now; or why there is none."""
    source = f"mma:{groove.file}:{groove.name}"
    path = score_path(groove, folder)
    try:
        kept = read_score_file(path)
        if kept.source == source:
            return source, find_contradiction(kept) or kept
    except DataError:
        pass  # not there yet, or broken
    try:
        score = play_groove(program, groove)
    except DataError as error:
        return source, str(error)
    write_score(path, score)
    # As it will be read: numbers of the file have fewer digits.
    kept = read_score_file(path)
    return source, find_contradiction(kept) or kept


def play_groove(program: Program, groove: Groove) -> Score:
    """Have MMA play a groove to chords of a made tune.

    Raises:
        DataError: MMA cannot play it, or in a metre that is not known.
    """
    source = f"mma:{groove.file}:{groove.name}"
    if groove.signature not in METRES:
        raise DataError(f"{source}: {groove.signature}; expected one of {', '.join(METRES)}")
    number, tune = groove_tune(groove)
    score = _run_mma(program, _script(groove, tune, number), source)
    bars = np.array([mark.time for mark in score.markers if mark.text == BAR_MARKER], dtype=np.float64)
    metre, parts = METRES[groove.signature]
    steps = np.diff(bars)
    if len(bars) != (INTRO_BARS if groove.intro else 0) + MAIN_BARS + ENDING_BARS or np.ptp(steps) > 0:
        raise DataError(f"{source}: {len(bars)} bars, or bars of several lengths; leave it out")
    quarters = steps[0] / score.ticks_per_quarter
    if quarters not in ((metre, 3 * metre) if parts == 3 else (metre,)):
        raise DataError(
            f"{source}: bars of {quarters:g} quarters, in a file of {groove.signature}; leave it out"
        )
    beat = float(steps[0]) / metre
    players: list[tuple[str, int, bool]] = []
    rows = []
    for track in score.tracks:
        columns = track.notes.numpy()
        pitch = columns["pitch"].astype(np.float64)
        kept = np.isin(pitch, PERCUSSION) if track.is_drum else np.ones(len(pitch), dtype=bool)
        if kept.any():
            start, length = columns["time"] / beat, np.maximum(columns["duration"] / beat, 0.02)
            part = np.full(len(pitch), float(len(players)))
            velocity = columns["velocity"].astype(np.float64)
            rows.append(np.stack([part, start, length, pitch, velocity], axis=1)[kept])
            players.append((_role(track), int(track.program), bool(track.is_drum)))
    if not rows:
        raise DataError(f"{source}: it plays nothing; leave it out")
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
    """The made tune that gives a groove its chords and its melody, and the tune's number."""
    digest = hashlib.sha256(f"{groove.file}:{groove.name}".encode()).digest()
    number = FIRST_TUNE_NUMBER + int.from_bytes(digest[:3])
    return number, generate_tune(groove.signature, number)


def tempo_range(
    starts: NDArray[np.float64], beats: float, name: str, compound: bool = False
) -> tuple[float, float]:
    """Slowest and fastest tempo of an accompaniment, by how often it strikes a beat and by its name.

    What strikes four times a beat is no music at 200 beats a minute, but music at 100 that would be
    labelled with twice its tempo.

    Args:
        starts: beats at which its notes begin.
        beats: its length.
        name: of the groove and its file.
        compound: whether its beats have three parts: none of these is as fast as others.
    """
    strokes = max(len(np.unique(np.round(starts * 6))) / beats, 0.5)
    slowest = np.clip(60 * MIN_ONSET_RATE / strokes, MIN_BPM, 100.0)
    fastest = np.clip(60 * MAX_ONSET_RATE / strokes, 100.0, MAX_COMPOUND_BPM if compound else MAX_BPM)
    for word, (low, high) in TEMPO_WORDS.items():
        if word in name.lower():
            slowest, fastest = max(slowest, low), min(fastest, high)
    return float(min(slowest, fastest * 0.8)), float(fastest)


def _script(groove: Groove, tune: Tune, seed: int) -> str:
    """The text of a piece in MMA's language: introduction, main part and ending over the tune's chords."""
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
    """A chord a bar as MMA writes it: the tune's triads, some of them with sevenths, sixths or ninths."""
    names = []
    tonic = tune.scale[0]
    for root, third, _ in harmonise(tune).tolist():
        minor = (third - root) % 12 == 3
        dominant = (root - tonic) % 12 == 7 and not minor
        kinds = ("m", "m7", "m9") if minor else ("7", "9", "") if dominant else ("", "M7", "6")
        names.append(NOTE_NAMES[root] + str(rng.choice(kinds, p=(0.6, 0.3, 0.1))))
    return names


def _melody_rows(tune: Tune, first: int, part: int) -> NDArray[np.float64]:
    """(N, 5) the tune's notes from a beat on."""
    start, length, pitch = tune.notes.T
    louder = 80.0 + 8.0 * (start % (tune.metre * TICKS_PER_BEAT) == 0)
    return np.stack(
        [
            np.full(len(start), float(part)),
            start / TICKS_PER_BEAT + first,
            length / TICKS_PER_BEAT * 0.9,
            pitch + 0.0,
            louder,
        ],
        axis=1,
    )


def _role(track: Any) -> str:
    """MMA's tracks are called by what they play: Bass-Sub, Walk, Chord-Piano, Drum-Kick, …"""
    if track.is_drum:
        return "drums"
    return "bass" if track.name.lower().startswith(("bass", "walk")) else "chords"


def _run_mma(program: Program, script: str, source: str) -> Any:
    """The symusic score that MMA makes of a script.

    Raises:
        DataError: MMA fails, or takes too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        text, midi = Path(folder) / "piece.mma", Path(folder) / "piece.mid"
        text.write_text(script, encoding="latin-1")
        environment = {**os.environ, "MMA_HOME": str(program.home), "HOME": folder}
        try:
            ran = subprocess.run(
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
                f"python3, which runs {program.path}: {error.strerror}; install python3"
            ) from None
        if ran.returncode or not midi.is_file():
            lines = [
                line for line in ran.stdout.splitlines() if "ERROR" in line.upper()
            ] or ran.stdout.splitlines()
            said = " ".join(" ".join(lines[-2:]).split())[:200]
            raise DataError(f"{source}: MMA cannot play it ({said}); leave it out")
        return read_score(midi)

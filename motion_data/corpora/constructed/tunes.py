"""Tunes: public-domain dance tunes of music21's corpus, melodies of MIDI files, and generated ones.

A tune is a melody on a regular grid of bars; the arrangement adds harmony, bass and drums.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from motion_data.errors import DataError
from motion_data.files import find_files
from motion_data.midi_file import read_score
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.file_name import printable
from motionbeat_upstream.threads import cores

TICKS_PER_BEAT = 48
"""Sixteenths, triplets and the eighths of 6/8 are whole numbers of ticks."""

METRES: Mapping[str, tuple[int, int]] = {
    "4/4": (4, 2),
    "3/4": (3, 2),
    "6/8": (2, 3),
    "2/4": (2, 2),
    "12/8": (4, 3),
    "5/4": (5, 2),
    "7/8": (7, 2),
}
"""Beats per bar and parts per beat, by time signature. 6/8 has two beats and 12/8 four, of three eighths
each; 7/8 has seven."""

MIN_BARS, MIN_NOTES = 8, 16
"""Shorter tunes are left out."""

MAX_NOTES_PER_BEAT = 2.6
"""A tune in 2/4 with more notes has halved values, e.g. a reel in sixteenths, and is read as 4/4."""

INDEX_FORMAT = 4
"""Version of the cache of music21's tunes."""

BAR_QUARTERS = {name: Fraction(name) * 4 for name in METRES}
"""Length of a bar in quarters, by time signature."""

MAJOR = (0, 2, 4, 5, 7, 9, 11)


@dataclass(frozen=True)
class Tune:
    """A melody of whole bars that can be repeated."""

    title: str
    source: str
    """``music21:FILE#NUMBER``, ``midi:FILE`` or ``made:SIGNATURE-NUMBER``."""
    signature: str
    """One of :data:`METRES`."""
    scale: tuple[int, ...]
    """(7,) pitch classes from the tonic upwards."""
    bars: int
    notes: NDArray[np.int64]
    """(N, 3) onset and duration in ticks from the first downbeat, and MIDI pitch; onsets increase from 0."""

    piece: str
    """Name of the piece: the plain title, or that of an equal tune (:func:`unify_piece_names`); for a
    generated tune or a MIDI file the source."""

    @property
    def metre(self) -> int:
        """Beats per bar."""
        return METRES[self.signature][0]


def plain_title(title: str) -> str:
    """Title without accents, articles, dance names and comments, which differ between books; may be empty."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    # "Opera -- Reel", "The Opera" and "OPERA REEL. (Another setting)" are the same title.
    plain = re.sub(r"\(.*?\)|'s\b|\b(a|the|no|reel|jig|hornpipe|waltz|strathspey|clog)\b", "", plain)
    return re.sub(r"[^a-z]+", "-", plain.replace("'", "")).strip("-")


OPENING_BARS = 4
"""Bars that are compared to find equal tunes."""

MIN_OPENING_CHANGES = 6
"""Minimum number of pitch changes from beat to beat of an opening that is compared."""


def unify_piece_names(tunes: Sequence[Tune]) -> list[Tune]:
    """Give tunes that are equal one name, so that a piece is in one split.

    Folk tunes have many titles. Tunes with the same plain title, or with the same intervals from beat to beat
    in the first :data:`OPENING_BARS` bars, in any key, count as one piece.
    """
    keys: dict[object, int] = {}
    edges = [
        (number, len(tunes) + keys.setdefault(key, len(keys)))
        for number, tune in enumerate(tunes)
        for key in (tune.piece, _opening_key(tune))
        if key is not None
    ]
    size = len(tunes) + len(keys)
    rows, columns = np.array(edges).reshape(-1, 2).T
    _, piece_of = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)))
    names: dict[int, str] = {}
    for tune, piece in zip(tunes, piece_of[: len(tunes)].tolist(), strict=True):
        names[piece] = min(names.get(piece, tune.piece), tune.piece)
    return [
        replace(tune, piece=names[piece])
        for tune, piece in zip(tunes, piece_of[: len(tunes)].tolist(), strict=True)
    ]


def _opening_key(tune: Tune) -> tuple[object, ...] | None:
    """Signature and intervals from beat to beat; None with too few changes."""
    beats = np.arange(OPENING_BARS * tune.metre) * TICKS_PER_BEAT
    sounding = np.maximum(np.searchsorted(tune.notes[:, 0], beats, side="right") - 1, 0)
    steps = np.diff(tune.notes[sounding, 2])
    return (tune.signature, *steps.tolist()) if np.count_nonzero(steps) >= MIN_OPENING_CHANGES else None


def tune_to_record(tune: Tune) -> dict[str, Any]:
    """Tune as a JSON object."""
    return {**vars(tune), "scale": list(tune.scale), "notes": tune.notes.ravel().tolist()}


def tune_from_record(record: dict[str, Any]) -> Tune:
    """Tune from the result of :func:`tune_to_record`.

    Raises:
        KeyError, TypeError, ValueError: the record is invalid.
    """
    notes = np.array(record["notes"], dtype=np.int64).reshape(-1, 3)
    scale = tuple(int(degree) for degree in record["scale"])
    title, source, piece, signature = (str(record[key]) for key in ("title", "source", "piece", "signature"))
    if signature not in METRES:
        raise ValueError(f"time signature {signature}")
    return Tune(title, source, signature, scale, int(record["bars"]), notes, piece)


# music21's corpus


BOOKS = ("ryansMammoth", "oneills1850")
"""Folders of music21's corpus: Ryan's Mammoth Collection (1883) and O'Neill's Music of Ireland (1903)."""


def read_music21_tunes(cache: Path | None = None) -> list[Tune]:
    """Read the usable tunes of :data:`BOOKS`, which are cached after the first call.

    Args:
        cache: folder of the cache; by default ``$XDG_CACHE_HOME/motionbeat`` or ``~/.cache/motionbeat``.

    Raises:
        DataError: music21 or its corpus is not installed.
    """
    try:
        release = version("music21")
    except PackageNotFoundError:
        raise DataError(
            "music21, which contains the tunes, is not installed; run `pip install '.[data]'` in "
            "MotionBeat's folder, or prepare with --tunes 0 to use generated tunes only"
        ) from None
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motionbeat"
    path = cache / f"tunes-music21-{release}-{INDEX_FORMAT}.json"
    try:
        return [tune_from_record(record) for record in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing or damaged: created below
    texts = _corpus_texts()
    with ProcessPoolExecutor(min(cores(), 8)) as pool:
        parsed = pool.map(read_abc, *zip(*texts, strict=True), chunksize=20)
        bar = tqdm(parsed, desc="read tunes", total=len(texts), unit="tune")
        tunes = [tune for tune in bar if tune is not None]
    try:
        with atomic_path(path) as draft:
            draft.write_text(json.dumps([tune_to_record(tune) for tune in tunes]), encoding="utf-8")
    except OSError:
        pass  # without a writable cache the tunes are parsed each time
    return tunes


def _corpus_texts() -> list[tuple[str, str]]:
    """ABC text and source of every tune, sorted by source."""
    spec = find_spec("music21")
    corpus = Path(str(spec and spec.origin)).parent / "corpus"
    texts = []
    for book in BOOKS:
        for file in sorted((corpus / book).glob("*.abc")):
            tunes = re.split(r"^(?=X:)", file.read_text(encoding="utf-8", errors="replace"), flags=re.M)
            for text in tunes:
                if number := re.match(r"X:\s*(\d+)", text):
                    texts.append((text, f"music21:{book}/{file.stem}#{number[1]}"))
    if not texts:
        raise DataError(
            f"{corpus}: no tunes of {' or '.join(BOOKS)}; music21 is installed without its corpus: "
            f"`pip install --force-reinstall music21`, or prepare with --tunes 0"
        )
    return texts


def read_abc(text: str, source: str) -> Tune | None:
    """Read a tune from ABC notation by music21, with repeats expanded.

    The parts of a bar that is split by a pick-up or repeat sign are joined. None if bars differ in length or
    the metre is not in :data:`METRES`.
    """
    from music21 import abcFormat
    from music21.exceptions21 import Music21Exception

    handler = abcFormat.ABCHandler()
    try:
        handler.process(text)
        return _tune_from_tokens(handler.tokens, source)
    # music21 raises errors of many kinds for invalid ABC.
    except (Music21Exception, ValueError, TypeError, AttributeError, IndexError, KeyError):
        return None


def _tune_from_tokens(tokens: Sequence[Any], source: str) -> Tune | None:
    from music21.abcFormat import ABCBar, ABCMetadata

    header = {token.tag: token.data.strip() for token in reversed(tokens) if isinstance(token, ABCMetadata)}
    signatures = {
        token.data.strip() for token in tokens if isinstance(token, ABCMetadata) and token.tag == "M"
    }
    signature = {"C": "4/4", "C|": "4/4", "2/2": "4/4"}.get(header.get("M", ""), header.get("M", ""))
    if len(signatures) != 1 or signature not in BAR_QUARTERS:
        return None
    bar = BAR_QUARTERS[signature]

    melody: list[tuple[Fraction, Fraction, int]] = []
    time, origin, tied = Fraction(0), None, False
    for token in _expand_repeats(tokens):
        if isinstance(token, ABCBar):
            if origin is None and time > 0:
                origin = time if time < bar else Fraction(0)  # notes before the first bar line are a pick-up
            inner = token.isRegular() and not token.isRepeatBracket()
            if inner and origin is not None and (time - origin) % bar:
                return None
            continue
        length = Fraction(token.quarterLength).limit_denominator(96)
        if token.activeTuplet is not None:
            length *= Fraction(token.activeTuplet.tupletMultiplier()).limit_denominator(96)
        if not token.isRest:
            pitch = _highest_pitch(token)
            if tied and melody and melody[-1][2] == pitch and sum(melody[-1][:2]) == time:
                melody[-1] = (melody[-1][0], melody[-1][1] + length, pitch)
            else:
                melody.append((time, length, pitch))
        tied = not token.isRest and token.tie in ("start", "continue")
        time += length
    if origin is None or not melody:
        return None

    if signature == "2/4" and len(melody) / float(time) > MAX_NOTES_PER_BEAT:
        signature = "4/4"
    metre = METRES[signature][0]
    beat = bar / metre
    bars = -(-(time - origin) // (metre * beat))
    notes = np.array(
        [
            [round(TICKS_PER_BEAT * (onset - origin) / beat), round(TICKS_PER_BEAT * length / beat), pitch]
            for onset, length, pitch in melody
        ]
    )
    # The pick-up leads back to the beginning when the tune is repeated.
    notes[:, 0] %= bars * metre * TICKS_PER_BEAT
    return _make_tune(header.get("T", source), source, signature, _key_scale(tokens), int(bars), notes)


def _expand_repeats(tokens: Iterable[Any]) -> list[Any]:
    """Notes and bar lines with repeats and first and second endings expanded."""
    from music21.abcFormat import ABCBar, ABCNote

    expanded: list[Any] = []
    section: list[Any] = []
    ending: int | None = None
    for token in tokens:
        if isinstance(token, ABCNote) and not token.inGrace:
            section.append(token)
        elif isinstance(token, ABCBar):
            if token.repeatForm == "first":
                ending = len(section)
            section.append(token)
            if token.repeatForm in ("end", "bidirectional"):
                expanded += section + section[:ending]
                section, ending = [], None
            elif token.repeatForm == "start" or token.barStyle == "light-light":
                expanded += section
                section, ending = [], None
    return expanded + section


def _highest_pitch(token: Any) -> int:
    """MIDI pitch of a note, or of the highest note of a chord."""
    from music21.pitch import Pitch

    names = [note.pitchName for note in getattr(token, "subTokens", None) or [token]]
    return max(int(Pitch(name).midi) for name in names)


def _key_scale(tokens: Iterable[Any]) -> tuple[int, ...]:
    """(7,) pitch classes of the first key, from its tonic; a signature without a tonic counts as major."""
    signature = next(
        key for token in tokens if (key := getattr(token, "activeKeySignature", None)) is not None
    )
    tonic = getattr(signature, "tonic", None)
    root = 7 * signature.sharps % 12
    classes = sorted((root + step) % 12 for step in MAJOR)
    first = classes.index(tonic.pitchClass) if tonic is not None and tonic.pitchClass in classes else None
    first = classes.index(root) if first is None else first
    return tuple(classes[first:] + classes[:first])


def _make_tune(
    title: str, source: str, signature: str, scale: tuple[int, ...], bars: int, notes: NDArray[np.int64]
) -> Tune | None:
    """Make a tune with sorted notes that do not overlap; None if it is too short."""
    notes = notes[np.lexsort((-notes[:, 2], notes[:, 0]))]
    notes = notes[np.concatenate([[True], np.diff(notes[:, 0]) > 0])]
    following = np.append(notes[1:, 0], bars * METRES[signature][0] * TICKS_PER_BEAT)
    notes[:, 1] = np.clip(notes[:, 1], 1, following - notes[:, 0])
    if bars < MIN_BARS or len(notes) < MIN_NOTES:
        return None
    piece = plain_title(title) if source.startswith("music21:") else ""
    return Tune(title, source, signature, scale, bars, notes.astype(np.int64), piece or source)


# Generated tunes


PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (0, 3, 4, 3),
    (0, 3, 0, 4),
    (5, 3, 0, 4),
    (0, 6, 3, 0),
    (1, 4, 0, 5),
)
"""Scale degrees of the chords of four bars."""

MODES = (MAJOR, MAJOR, (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
"""Major (twice), minor, Dorian, Mixolydian."""

_EVEN = ((0,), (0, 24), (0, 12, 24, 36), (0, 24, 36), (0, 36), (24,), (12, 36), ())
_FEW = ((0,), (0, 24), (0, 36), (24,), ())
_THIRDS = ((0, 16, 32), (0, 32), (0,), (0, 24, 32), (16, 32), ())
_EIGHTHS = ((0,), (0,), (0, 24), ())

BEAT_CELLS = {
    "4/4": _EVEN,
    "3/4": _FEW,
    "6/8": _THIRDS,
    "2/4": _EVEN,
    "12/8": _THIRDS,
    "5/4": _FEW,
    "7/8": _EIGHTHS,
}
"""Rhythms of a beat of generated melodies, as onsets in ticks."""


@lru_cache(maxsize=4096)
def generate_tune(signature: str, number: int) -> Tune:
    """Generate a tune: a random walk on a scale around a chord progression, with phrases A A' B A'.

    The result depends only on ``signature``, one of :data:`METRES`, and ``number``.
    """
    metre, parts = METRES[signature]
    rng = np.random.default_rng([metre, parts, number])
    tonic = int(rng.integers(12))
    scale = tuple((tonic + step) % 12 for step in MODES[rng.integers(len(MODES))])
    progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    phrases = [_generate_phrase(signature, progression, rng) for _ in range(2)]
    cadence = phrases[0][phrases[0][:, 0] < 3 * metre * TICKS_PER_BEAT]
    closing = np.concatenate([cadence, [[3 * metre * TICKS_PER_BEAT, metre * TICKS_PER_BEAT, 0]]])
    order = (phrases[0], closing, phrases[1], closing)
    notes = np.concatenate(
        [phrase + np.array([4 * metre * TICKS_PER_BEAT * index, 0, 0]) for index, phrase in enumerate(order)]
    )
    # Convert degrees to pitches; the lowest tonic is between C4 and B4.
    ladder = np.array([(step - tonic) % 12 for step in scale])
    notes[:, 2] = 60 + tonic + 12 * (notes[:, 2] // 7) + ladder[notes[:, 2] % 7]
    source = f"made:{signature}-{number}"
    tune = _make_tune(source, source, signature, scale, 16, notes)
    # A walk with long rests may be too short.
    return tune if tune is not None else generate_tune(signature, number + 1_000_003)


def _generate_phrase(
    signature: str, progression: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(N, 3) onset, duration and scale degree of four bars; the rhythm repeats after two bars."""
    metre, cells = METRES[signature][0], BEAT_CELLS[signature]
    chosen = rng.choice(len(cells), size=(2, metre), p=rng.dirichlet(np.full(len(cells), 0.8)))
    chosen[0, 0] = 0
    starts, degrees = [], []
    degree = int(rng.choice([0, 2, 4]))
    for bar in range(4):
        chord = progression[bar]
        for beat in range(metre):
            for onset in cells[chosen[bar % 2, beat]]:
                degree = int(np.clip(degree + rng.choice([-2, -1, -1, 0, 1, 1, 2]), -3, 9))
                if onset == 0 and (degree - chord) % 7 not in (0, 2, 4):
                    degree += 1 if (degree + 1 - chord) % 7 in (0, 2, 4) else -1
                starts.append((bar * metre + beat) * TICKS_PER_BEAT + onset)
                degrees.append(degree)
    return np.stack([starts, np.full(len(starts), 2 * TICKS_PER_BEAT), degrees], axis=1).astype(np.int64)


# MIDI files


def read_midi_tunes(folder: Path) -> tuple[list[Tune], dict[str, str]]:
    """Read the melodies of a folder's MIDI files, quantised to the files' beats.

    Args:
        folder: searched recursively for .mid and .midi.

    Returns:
        The tunes, and the reason for each file that is left out.

    Raises:
        DataError: the folder is missing or has no MIDI files.
    """
    files = find_files(folder, (".mid", ".midi"))
    if not files:
        raise DataError(f"{folder}: no .mid or .midi file in it; give a folder of MIDI files with --midi")
    tunes, left_out = [], {}
    for path in files:
        name = printable(path.relative_to(folder).as_posix())
        try:
            tunes.append(read_midi_tune(path, f"midi:{printable(folder.name)}/{name}"))
        except DataError as error:
            left_out[name] = str(error)
    return tunes, left_out


def read_midi_tune(path: Path, source: str) -> Tune:
    """Read the quantised melody of a MIDI file: the track with a melody's name, otherwise the highest one.

    The file should be a score, not a performance that ignores its tempo map.

    Raises:
        DataError: the file is not MIDI, has an unsupported or changing metre, or no melody.
    """
    score = read_score(path)
    signatures = {f"{mark.numerator}/{mark.denominator}" for mark in score.time_signatures} or {"4/4"}
    # Bars are recounted, so that 1/4 and 2/4 (both occur in files of POP909) become bars of four.
    if signatures <= {"1/4", "2/4", "4/4", "2/2"}:
        signature = "4/4"
    elif signatures <= {"6/8", "12/8"}:
        signature = min(signatures, key=len)
    elif len(signatures) == 1 and signatures <= METRES.keys():
        signature = min(signatures)
    else:
        raise DataError(
            f"{path}: time signatures {', '.join(sorted(signatures))}; expected one of {', '.join(METRES)}"
        )
    metre, parts = METRES[signature]
    beat = float(BAR_QUARTERS[signature]) / metre
    tracks = [track for track in score.tracks if not track.is_drum and len(track.notes) >= MIN_NOTES]
    if not tracks:
        raise DataError(f"{path}: no pitched track has {MIN_NOTES} notes; a tune needs a melody")
    named = [track for track in tracks if "melod" in track.name.lower() or "vocal" in track.name.lower()]
    arrays = [track.notes.numpy() for track in (named or tracks)]
    columns = max(arrays, key=lambda notes: float(np.mean(notes["pitch"])))
    step = TICKS_PER_BEAT // (2 * parts)
    start = step * np.round(columns["time"] / score.ticks_per_quarter * TICKS_PER_BEAT / beat / step)
    length = np.maximum(columns["duration"] / score.ticks_per_quarter * TICKS_PER_BEAT / beat, step)
    notes = np.stack([start, length, columns["pitch"]], axis=1).astype(np.int64)
    bar = metre * TICKS_PER_BEAT
    notes[:, 0] -= notes[0, 0] // bar * bar
    bars = int(-(-(notes[:, 0].max() + 1) // bar))
    tune = _make_tune(printable(path.stem), source, signature, _estimate_scale(notes), bars, notes)
    if tune is None:
        raise DataError(
            f"{path}: the melody has fewer than {MIN_BARS} bars or {MIN_NOTES} notes; leave it out"
        )
    return tune


def _estimate_scale(notes: NDArray[np.int64]) -> tuple[int, ...]:
    """(7,) pitch classes of the best-fitting major scale, from the class of the last note if possible."""
    weight = np.bincount(notes[:, 2] % 12, weights=notes[:, 1], minlength=12)
    root = int(np.argmax([sum(weight[(root + step) % 12] for step in MAJOR) for root in range(12)]))
    classes = sorted((root + step) % 12 for step in MAJOR)
    last = int(notes[-1, 2] % 12)
    first = classes.index(last if last in classes else root)
    return tuple(classes[first:] + classes[:first])

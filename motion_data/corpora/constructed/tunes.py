"""The tunes that are played: public-domain dance tunes of music21's corpus, the user's MIDI, and made ones.

A tune is a melody on a regular grid of bars; harmony, bass and drums are added by the arrangement.
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
"""Ticks a beat; sixteenths, triplets and the eighths of 6/8 are whole numbers of them."""

METRES: Mapping[str, tuple[int, int]] = {
    "4/4": (4, 2),
    "3/4": (3, 2),
    "6/8": (2, 3),
    "2/4": (2, 2),
    "12/8": (4, 3),
    "5/4": (5, 2),
    "7/8": (7, 2),
}
"""Beats a bar, and equal parts of a beat, by time signature. 6/8 counts two beats and 12/8 four, of three
eighths each; 7/8 counts seven."""

MIN_BARS, MIN_NOTES = 8, 16
"""A tune with less is left out."""

MAX_NOTES_PER_BEAT = 2.6
"""Notes a beat above which a 2/4 bar is in halved values: a reel of sixteenths has four beats a bar."""

INDEX_FORMAT = 4
"""Goes up when what is taken from the corpus changes, so that old caches are not read."""

BAR_QUARTERS = {name: Fraction(name) * 4 for name in METRES}
"""Signatures that are read, and the length of their bars in quarters."""

MAJOR = (0, 2, 4, 5, 7, 9, 11)


@dataclass(frozen=True)
class Tune:
    """A melody of whole bars, fit to be repeated."""

    title: str
    source: str
    """Where it is from: ``music21:FILE#NUMBER``, ``midi:FILE`` or ``made:SIGNATURE-NUMBER``."""
    signature: str
    """One of :data:`METRES`."""
    scale: tuple[int, ...]
    """(7,) pitch classes from the tonic upwards."""
    bars: int
    notes: NDArray[np.int64]
    """(N, 3) start and duration in ticks from the first downbeat, and MIDI pitch; starts increase from 0."""

    piece: str
    """Name of the piece: the title without what differs from book to book, or the name of another tune
    that :func:`unify_piece_names` found to be the same; of a made tune or a MIDI file the source."""

    @property
    def metre(self) -> int:
        """Beats a bar."""
        return METRES[self.signature][0]


def plain_title(title: str) -> str:
    """A title without what differs from book to book; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    # "Opera -- Reel", "The Opera" and "OPERA REEL. (Another setting)" are the same title.
    plain = re.sub(r"\(.*?\)|'s\b|\b(a|the|no|reel|jig|hornpipe|waltz|strathspey|clog)\b", "", plain)
    return re.sub(r"[^a-z]+", "-", plain.replace("'", "")).strip("-")


OPENING_BARS = 4
"""Bars by which two tunes are known to be one."""

MIN_OPENING_CHANGES = 6
"""Changes of pitch from beat to beat that an opening must have to be anyone's own."""


def unify_piece_names(tunes: Sequence[Tune]) -> list[Tune]:
    """The tunes, with one name for those that are the same under several titles.

    Folk tunes have many names. Tunes whose melodies move alike from beat to beat over the first
    :data:`OPENING_BARS` bars, in whatever key, are taken for one piece, or one would be in two splits.
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
    """Signature and steps of pitch from beat to beat; None where there are too few to tell."""
    beats = np.arange(OPENING_BARS * tune.metre) * TICKS_PER_BEAT
    sounding = np.maximum(np.searchsorted(tune.notes[:, 0], beats, side="right") - 1, 0)
    steps = np.diff(tune.notes[sounding, 2])
    return (tune.signature, *steps.tolist()) if np.count_nonzero(steps) >= MIN_OPENING_CHANGES else None


def tune_to_record(tune: Tune) -> dict[str, Any]:
    """The tune as JSON holds it."""
    return {**vars(tune), "scale": list(tune.scale), "notes": tune.notes.ravel().tolist()}


def tune_from_record(record: dict[str, Any]) -> Tune:
    """What :func:`tune_to_record` gave; KeyError, TypeError or ValueError for anything else."""
    notes = np.array(record["notes"], dtype=np.int64).reshape(-1, 3)
    scale = tuple(int(degree) for degree in record["scale"])
    title, source, piece, signature = (str(record[key]) for key in ("title", "source", "piece", "signature"))
    if signature not in METRES:
        raise ValueError(f"a time signature of {signature}")
    return Tune(title, source, signature, scale, int(record["bars"]), notes, piece)


# music21's corpus


BOOKS = ("ryansMammoth", "oneills1850")
"""Folders of music21's corpus: Ryan's Mammoth Collection (1883) and O'Neill's Music of Ireland (1903)."""


def read_music21_tunes(cache: Path | None = None) -> list[Tune]:
    """The usable tunes of :data:`BOOKS`, parsed once and then kept in the user's cache folder.

    Args:
        cache: folder of the cache; by default ``$XDG_CACHE_HOME/motionbeat`` or ``~/.cache/motionbeat``.

    Raises:
        DataError: music21 is not installed, or came without its corpus.
    """
    try:
        release = version("music21")
    except PackageNotFoundError:
        raise DataError(
            "music21 is not installed, and it brings the tunes; "
            "in MotionBeat's folder `pip install '.[data]'`, or prepare with --tunes 0 to use made tunes only"
        ) from None
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motionbeat"
    path = cache / f"tunes-music21-{release}-{INDEX_FORMAT}.json"
    try:
        return [tune_from_record(record) for record in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there yet, or broken: made again below
    texts = _corpus_texts()
    with ProcessPoolExecutor(min(cores(), 8)) as pool:
        parsed = pool.map(read_abc, *zip(*texts, strict=True), chunksize=20)
        bar = tqdm(parsed, desc="read tunes", total=len(texts), unit="tune")
        tunes = [tune for tune in bar if tune is not None]
    try:
        with atomic_path(path) as draft:
            draft.write_text(json.dumps([tune_to_record(tune) for tune in tunes]), encoding="utf-8")
    except OSError:
        pass  # a home that cannot be written to only costs the time of parsing again
    return tunes


def _corpus_texts() -> list[tuple[str, str]]:
    """ABC text of every tune and its source, ordered by source."""
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
            f"{corpus}: no tunes of {' or '.join(BOOKS)}; this music21 came without its corpus: "
            f"`pip install --force-reinstall music21`, or prepare with --tunes 0"
        )
    return texts


def read_abc(text: str, source: str) -> Tune | None:
    """A tune from ABC notation, read by music21 and its repeats played out.

    Where a bar is split by a pick-up or a repeat sign, its second part is counted on from the first.
    None where bars are not all of one length, or it is in another metre than :data:`METRES`.
    """
    from music21 import abcFormat
    from music21.exceptions21 import Music21Exception

    handler = abcFormat.ABCHandler()
    try:
        handler.process(text)
        return _tune_from_tokens(handler.tokens, source)
    # music21 meets text that is no good ABC with errors of many kinds.
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

    played: list[tuple[Fraction, Fraction, int]] = []
    time, origin, tied = Fraction(0), None, False
    for token in _expand_repeats(tokens):
        if isinstance(token, ABCBar):
            if origin is None and time > 0:
                origin = time if time < bar else Fraction(0)  # what comes before the first line is a pick-up
            inner = token.isRegular() and not token.isRepeatBracket()
            if inner and origin is not None and (time - origin) % bar:
                return None
            continue
        length = Fraction(token.quarterLength).limit_denominator(96)
        if token.activeTuplet is not None:
            length *= Fraction(token.activeTuplet.tupletMultiplier()).limit_denominator(96)
        if not token.isRest:
            pitch = _highest_pitch(token)
            if tied and played and played[-1][2] == pitch and sum(played[-1][:2]) == time:
                played[-1] = (played[-1][0], played[-1][1] + length, pitch)
            else:
                played.append((time, length, pitch))
        tied = not token.isRest and token.tie in ("start", "continue")
        time += length
    if origin is None or not played:
        return None

    if signature == "2/4" and len(played) / float(time) > MAX_NOTES_PER_BEAT:
        signature = "4/4"
    metre = METRES[signature][0]
    beat = bar / metre
    bars = -(-(time - origin) // (metre * beat))
    notes = np.array(
        [
            [round(TICKS_PER_BEAT * (at - origin) / beat), round(TICKS_PER_BEAT * length / beat), pitch]
            for at, length, pitch in played
        ]
    )
    # The pick-up leads back to the beginning when the tune is repeated.
    notes[:, 0] %= bars * metre * TICKS_PER_BEAT
    return _make_tune(header.get("T", source), source, signature, _key_scale(tokens), int(bars), notes)


def _expand_repeats(tokens: Iterable[Any]) -> list[Any]:
    """Notes and bar lines in the order in which they are played, first and second endings included."""
    from music21.abcFormat import ABCBar, ABCNote

    played: list[Any] = []
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
                played += section + section[:ending]
                section, ending = [], None
            elif token.repeatForm == "start" or token.barStyle == "light-light":
                played += section
                section, ending = [], None
    return played + section


def _highest_pitch(token: Any) -> int:
    """MIDI pitch of a note, or of the highest note of a chord."""
    from music21.pitch import Pitch

    names = [note.pitchName for note in getattr(token, "subTokens", None) or [token]]
    return max(int(Pitch(name).midi) for name in names)


def _key_scale(tokens: Iterable[Any]) -> tuple[int, ...]:
    """The seven pitch classes of the first key, from its tonic; a bare signature is taken as major."""
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
    """The tune with its notes in order, none over another; None where too little is left."""
    notes = notes[np.lexsort((-notes[:, 2], notes[:, 0]))]
    notes = notes[np.concatenate([[True], np.diff(notes[:, 0]) > 0])]
    following = np.append(notes[1:, 0], bars * METRES[signature][0] * TICKS_PER_BEAT)
    notes[:, 1] = np.clip(notes[:, 1], 1, following - notes[:, 0])
    if bars < MIN_BARS or len(notes) < MIN_NOTES:
        return None
    piece = plain_title(title) if source.startswith("music21:") else ""
    return Tune(title, source, signature, scale, bars, notes.astype(np.int64), piece or source)


# Tunes made from nothing


PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (0, 3, 4, 3),
    (0, 3, 0, 4),
    (5, 3, 0, 4),
    (0, 6, 3, 0),
    (1, 4, 0, 5),
)
"""Degrees of the scale on which the chords of four bars stand."""

MODES = (MAJOR, MAJOR, (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
"""Major twice, minor, Dorian, Mixolydian."""

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
"""Onsets within a beat, in ticks, that a made melody is put together of."""


@lru_cache(maxsize=4096)
def generate_tune(signature: str, number: int) -> Tune:
    """A made tune: a walk over a scale around a chord progression, in phrases of four bars as A A' B A'.

    The same for the same ``signature``, one of :data:`METRES`, and ``number``, always.
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
        [phrase + np.array([4 * metre * TICKS_PER_BEAT * place, 0, 0]) for place, phrase in enumerate(order)]
    )
    # Degrees to pitches, the lowest tonic between C4 and B4.
    ladder = np.array([(step - tonic) % 12 for step in scale])
    notes[:, 2] = 60 + tonic + 12 * (notes[:, 2] // 7) + ladder[notes[:, 2] % 7]
    source = f"made:{signature}-{number}"
    tune = _make_tune(source, source, signature, scale, 16, notes)
    # A walk of long rests may come out too short; the next number is as good.
    return tune if tune is not None else generate_tune(signature, number + 1_000_003)


def _generate_phrase(
    signature: str, progression: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(N, 3) start, duration and degree of the scale of four bars; the rhythm of two is repeated."""
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
    """The melodies of a folder's MIDI files, moved onto the beats that the files' tempo maps give.

    Args:
        folder: searched with its subfolders for .mid and .midi.

    Returns:
        The tunes, and for each file left out why.

    Raises:
        DataError: no such folder, or no MIDI file in it.
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
    """The melody of a MIDI file, quantised: its track named so, or else the highest one.

    The file should be a score: a performance that was not played to its own tempo map makes no tune.

    Raises:
        DataError: not MIDI, another metre or a changing one, or no melody.
    """
    score = read_score(path)
    found = {f"{mark.numerator}/{mark.denominator}" for mark in score.time_signatures} or {"4/4"}
    # Bars are counted anew, so 1/4 and 2/4 (POP909 has both in one file) make bars of four.
    if found <= {"1/4", "2/4", "4/4", "2/2"}:
        signature = "4/4"
    elif found <= {"6/8", "12/8"}:
        signature = min(found, key=len)
    elif len(found) == 1 and found <= METRES.keys():
        signature = min(found)
    else:
        raise DataError(
            f"{path}: time signatures {', '.join(sorted(found))}; expected one of {', '.join(METRES)}"
        )
    metre, parts = METRES[signature]
    beat = float(BAR_QUARTERS[signature]) / metre
    tracks = [track for track in score.tracks if not track.is_drum and len(track.notes) >= MIN_NOTES]
    if not tracks:
        raise DataError(f"{path}: no track but drums has {MIN_NOTES} notes; a tune needs a melody")
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
        raise DataError(f"{path}: fewer than {MIN_BARS} bars or {MIN_NOTES} notes of melody; leave it out")
    return tune


def _estimate_scale(notes: NDArray[np.int64]) -> tuple[int, ...]:
    """The major scale that holds most of the notes' time, from the pitch class of the last note."""
    weight = np.bincount(notes[:, 2] % 12, weights=notes[:, 1], minlength=12)
    held = [sum(weight[(root + step) % 12] for step in MAJOR) for root in range(12)]
    classes = sorted((int(np.argmax(held)) + step) % 12 for step in MAJOR)
    last = int(notes[-1, 2] % 12)
    first = classes.index(last) if last in classes else classes.index(int(np.argmax(held)))
    return tuple(classes[first:] + classes[:first])

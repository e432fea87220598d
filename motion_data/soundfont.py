"""Rendering of notes through a soundfont by symusic's synthesiser, with checks for its defects."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from ctypes import c_int
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from motion_data.errors import DataError
from motionbeat_upstream.config import SAMPLE_RATE

RENDER_RATE = 48_000
"""Sampling rate of the synthesiser, three times that of the result, so that aliasing is filtered out."""

MIN_PITCH, MAX_PITCH = 28, 96
"""Range of MIDI pitches; other notes, except drums, are transposed by octaves.

symusic 0.5.8 hangs in some programs of TimGM6mb.sf2 at some high pitches: at 48 kHz for 80 pairs of program
and pitch, all at 102 or higher; at 16 kHz also within the range of melodies."""

MIN_PEAK, MAX_PEAK = 1e-4, 100.0
"""Range of valid peaks of a rendering."""

MAX_SCORE_SECONDS = 4 * 3600.0
"""Maximum length of a score; a damaged one may last for years."""

PEAK_AMPLITUDE = 0.9
"""Peak of the result."""


def default_soundfont() -> Path:
    """Path of pretty_midi's soundfont, whose latency of about 3 ms is not compensated.

    Raises:
        DataError: pretty_midi is not installed.
    """
    try:
        import pretty_midi
    except ImportError:
        raise DataError(
            "pretty_midi, which contains the default soundfont, is not installed; run `pip install "
            "'.[data]'` in MotionBeat's folder, or give a soundfont with --soundfont"
        ) from None
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


def make_synthesiser(soundfont: Path, rate: int = RENDER_RATE) -> Any:
    """Make a synthesiser at ``rate`` Hz with a soundfont; this takes about 1 ms for TimGM6mb.sf2.

    A synthesiser must not be reused for another piece: symusic 0.5.8 caches the drum samples of the first kit
    and uses them for other kits.

    Raises:
        DataError: the file is missing or not a soundfont, or symusic is not installed.
    """
    symusic = _import_symusic()
    # The synthesiser accepts any file and renders silence, so that the header is checked here.
    try:
        with soundfont.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise DataError(
            f"{soundfont}: not readable ({error.strerror}); give a .sf2 file with --soundfont"
        ) from None
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise DataError(
            f"{soundfont}: begins with {head!r}, expected a soundfont (RIFF sfbk); give a .sf2 file"
        )
    try:
        return symusic.Synthesizer(sf_path=str(soundfont), sample_rate=rate)
    except Exception as error:  # symusic raises several kinds of exceptions
        raise DataError(
            f"{soundfont}: a damaged soundfont ({error}); fetch it again, or give another with --soundfont"
        ) from None


def make_score(tracks: Iterable[tuple[str, int, bool, NDArray[np.float64]]]) -> Any:
    """Make a symusic score in seconds.

    Args:
        tracks: name, General MIDI program (for drums the kit), whether drums, and (N, 4) notes of each track:
            onset and duration in seconds, MIDI pitch, MIDI velocity.

    Raises:
        DataError: symusic is not installed.
    """
    symusic = _import_symusic()
    score = symusic.Score(ttype="second")
    for name, program, drums, notes in tracks:
        track = symusic.Track(name, program, drums, ttype="second")
        start, length, pitch, velocity = notes.T
        track.notes = symusic.Note.from_numpy(
            start.astype(np.float32),
            length.astype(np.float32),
            np.round(pitch).astype(np.int8),
            np.round(velocity).astype(np.int8),
            ttype="second",
        )
        score.tracks.append(track)
    return score


def render_score(
    score: Any, soundfont: Path, begin: float = 0.0, end: float | None = None
) -> NDArray[np.float32]:
    """Render a score through a soundfont.

    Args:
        score: symusic score in any unit of time; it is not changed.
        soundfont: a .sf2 or .sf3 file.
        begin: start of the result in seconds; earlier notes may sound across it.
        end: end of the result in seconds; None for the end of the last note.

    Returns:
        (T,) mono at 16 kHz, with a peak of :data:`PEAK_AMPLITUDE`.

    Raises:
        DataError: the soundfont cannot be used, the result is silent, or the score is too long.
    """
    if not score.note_num():
        raise DataError(f"{soundfont}: the score has no notes")
    seconds = float(score.to("second").end())
    if not seconds <= MAX_SCORE_SECONDS:
        raise DataError(
            f"the score lasts {seconds:.0f} s; expected at most {MAX_SCORE_SECONDS:.0f} s: shorten it or "
            f"leave it out"
        )
    played = np.asarray(make_synthesiser(soundfont).render(_fold_score_pitches(score), stereo=False))[0]
    if end is not None:
        wanted = round(end * RENDER_RATE)
        played = np.pad(played, (0, max(0, wanted - len(played))))[:wanted]
    audio = soxr.resample(played, RENDER_RATE, SAMPLE_RATE, quality=soxr.HQ)[round(begin * SAMPLE_RATE) :]
    if end is not None:
        audio = audio[: round((end - begin) * SAMPLE_RATE)]
    peak = float(np.abs(audio).max(initial=0.0))
    if not MIN_PEAK < peak < MAX_PEAK:
        problem = "the result is silent" if peak <= MIN_PEAK else f"the result has a peak of {peak:g}"
        instruments = ", ".join(f"{track.name} {track.program}".strip() for track in score.tracks)
        raise DataError(f"{soundfont}: {problem} (programs: {instruments}); use another soundfont")
    scaled: NDArray[np.float32] = (audio * (PEAK_AMPLITUDE / peak)).astype(np.float32)
    return scaled


def _fold_score_pitches(score: Any) -> Any:
    """Copy of a score with notes, except drums, transposed by octaves into the range of pitches."""
    symusic = _import_symusic()
    copy = score.copy()
    for track in copy.tracks:
        if track.is_drum or not len(track.notes):
            continue
        notes = track.notes.numpy()
        pitch = fold_pitches(notes["pitch"])
        track.notes = symusic.Note.from_numpy(**notes | {"pitch": pitch.astype(np.int8)}, ttype=score.ttype)
    return copy


def fold_pitches(pitch: ArrayLike) -> NDArray[np.int64]:
    """Round pitches, and transpose them by octaves into ``MIN_PITCH`` to ``MAX_PITCH``."""
    folded: NDArray[np.int64] = np.round(np.asarray(pitch)).astype(np.int64)
    folded += 12 * np.maximum(0, -((folded - MIN_PITCH) // 12))
    folded -= 12 * np.maximum(0, -((MAX_PITCH - folded) // 12))
    return folded


def _import_symusic() -> Any:
    try:
        import symusic
    except ImportError:
        raise DataError(
            "symusic, which renders notes, is not installed; run `pip install '.[data]'` in MotionBeat's "
            "folder"
        ) from None
    return symusic


TIMEOUT_SECONDS = 30.0
"""Time after which a program counts as hanging; it usually takes about 0.02 s."""

NOTE_SECONDS = 2.0
"""Duration of test notes, long enough for a sample's loop to repeat."""


def check_soundfont(soundfont: Path, programs: Iterable[int], patience: float = TIMEOUT_SECONDS) -> None:
    """Check programs by playing each at every second pitch, twice, in a separate process.

    symusic may hang in a program or read past a sample without an error.

    Args:
        soundfont: a .sf2 or .sf3 file.
        programs: General MIDI programs to check.
        patience: time limit per program in seconds.

    Raises:
        DataError: the file is not a soundfont, or a program hangs, is silent, or sounds different each time.
    """
    make_synthesiser(soundfont)
    playing: Synchronized[int] = multiprocessing.Value(c_int, -1)
    listener, teller = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(
        target=_check_programs, args=(soundfont, sorted(set(programs)), playing, teller), daemon=True
    )
    process.start()
    # The child process has the only open end, so that its death is noticed.
    teller.close()
    while not wait([listener], patience):
        before = playing.value
        if not wait([listener], patience) and playing.value == before:
            process.kill()
            process.join()
            raise DataError(
                f"{soundfont}: symusic does not return from GM program {before}; use another soundfont"
            )
    try:
        fault = listener.recv()
    except EOFError:
        fault = f"symusic crashes on GM program {playing.value}"
    process.join()
    if fault:
        raise DataError(f"{soundfont}: {fault}; use another soundfont")


def _check_programs(
    soundfont: Path, programs: Sequence[int], playing: Synchronized[int], teller: Connection
) -> None:
    fault = ""
    for program in programs:
        playing.value = program
        if fault := find_program_error(soundfont, program):
            break
    teller.send(fault)


def find_program_error(soundfont: Path, program: int) -> str:
    """Defect of a program; empty if there is none."""
    pitches = np.arange(MIN_PITCH, MAX_PITCH + 1.0, 2)
    starts = np.linspace(0, 4, len(pitches))
    notes = np.stack([starts, 0 * pitches + NOTE_SECONDS, pitches, 0 * pitches + 90], axis=1)
    score = make_score([("", program, False, notes)])
    try:
        first = render_score(score, soundfont)
        # Change the contents of free memory, which a read past a sample returns.
        waste = [np.full(count, 1e30, np.float32) for count in (1000, 30_000, 100_000, 300_000)]
        del waste
        again = render_score(score, soundfont)
    except DataError as error:
        return str(error)
    return "" if np.array_equal(first, again) else f"GM program {program} sounds differently each time"

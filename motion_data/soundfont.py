"""Notes played through a soundfont by symusic's synthesiser, kept to what it plays rightly."""

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
"""Hz at which the synthesiser plays; three times the result's, so that what aliases is filtered out."""

MIN_PITCH, MAX_PITCH = 28, 96
"""MIDI pitches that are played; others, but for drums, are moved by octaves.

symusic 0.5.8 never returns from some programs of TimGM6mb.sf2 at some high pitches: at 48 kHz 80 pairs of
program and pitch, all from 102 upwards; at 16 kHz already inside the range of melodies."""

MIN_PEAK, MAX_PEAK = 1e-4, 100.0
"""Peaks between which a rendering is believed."""

MAX_SCORE_SECONDS = 4 * 3600.0
"""Seconds of the longest score that is played; a damaged one may last for years."""

PEAK_AMPLITUDE = 0.9
"""Loudest sample of what is played."""


def default_soundfont() -> Path:
    """The soundfont that pretty_midi brings along.

    Its notes sound some 3 ms after their time, which is left as it is.

    Raises:
        DataError: pretty_midi is not installed.
    """
    try:
        import pretty_midi
    except ImportError:
        raise DataError(
            "pretty_midi is not installed, and it brings the default soundfont; "
            "in MotionBeat's folder `pip install '.[data]'`, or give one with --soundfont"
        ) from None
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


def make_synthesiser(soundfont: Path, rate: int = RENDER_RATE) -> Any:
    """A synthesiser with a soundfont loaded that plays at ``rate`` Hz; some 1 ms for TimGM6mb.sf2.

    Not to be kept from piece to piece: symusic 0.5.8 keeps a drum's sample as the first kit that struck it
    had it, so that other kits sound otherwise after it.

    Raises:
        DataError: no such file, no soundfont, or symusic is not installed.
    """
    symusic = _import_symusic()
    # The synthesiser takes any file without a word and plays nothing, so the mark of the format is read here.
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
    except Exception as error:  # symusic raises plain exceptions of several kinds
        raise DataError(
            f"{soundfont}: a damaged soundfont ({error}); fetch it again, or give another with --soundfont"
        ) from None


def make_score(tracks: Iterable[tuple[str, int, bool, NDArray[np.float64]]]) -> Any:
    """A symusic score in seconds.

    Args:
        tracks: of each its name, its General MIDI program (of drums their kit), whether its pitches
            are drums, and its notes: (N, 4) start and duration in seconds, MIDI pitch, MIDI velocity.

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
    """Play a score.

    Args:
        score: of symusic, in any of its units of time; it is left as it is.
        soundfont: a .sf2 or .sf3 file.
        begin: second from which on it is heard; what was struck before sounds on.
        end: second until which it is heard; None until the last note has died away.

    Returns:
        (T,) mono at 16 kHz, its loudest sample at :data:`PEAK_AMPLITUDE`.

    Raises:
        DataError: the soundfont cannot be used, nothing sounds, or the score lasts too long.
    """
    if not score.note_num():
        raise DataError(f"{soundfont}: nothing sounds, for the score has no notes")
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
        fault = "nothing sounds" if peak <= MIN_PEAK else "what sounds is no sound that can be"
        instruments = ", ".join(f"{track.name} {track.program}".strip() for track in score.tracks)
        raise DataError(f"{soundfont}: {fault} (programs: {instruments}); use another soundfont")
    scaled: NDArray[np.float32] = (audio * (PEAK_AMPLITUDE / peak)).astype(np.float32)
    return scaled


def _fold_score_pitches(score: Any) -> Any:
    """A copy whose notes, but for drums, are moved by octaves to the pitches that can be played."""
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
    """The MIDI pitches that are played where notes of these pitches are given."""
    moved: NDArray[np.int64] = np.round(np.asarray(pitch)).astype(np.int64)
    moved += 12 * np.maximum(0, -((moved - MIN_PITCH) // 12))
    moved -= 12 * np.maximum(0, -((MAX_PITCH - moved) // 12))
    return moved


def _import_symusic() -> Any:
    try:
        import symusic
    except ImportError:
        raise DataError(
            "symusic is not installed, and it plays the notes; in MotionBeat's folder `pip install '.[data]'`"
        ) from None
    return symusic


TIMEOUT_SECONDS = 30.0
"""Seconds after which a program is believed to hang; it takes some 0.02 s."""

NOTE_SECONDS = 2.0
"""Seconds that a note is held: long enough for a sample's loop to come round."""


def check_soundfont(soundfont: Path, programs: Iterable[int], patience: float = TIMEOUT_SECONDS) -> None:
    """Play each program at every second pitch, twice, in a process of its own.

    symusic may hang on a program, or read past a sample, and says nothing.

    Args:
        soundfont: a .sf2 or .sf3 file.
        programs: General MIDI programs that are going to be played.
        patience: seconds to wait for one.

    Raises:
        DataError: no soundfont, or a program that hangs, is silent, or sounds differently each time.
    """
    make_synthesiser(soundfont)
    playing: Synchronized[int] = multiprocessing.Value(c_int, -1)
    listener, teller = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(
        target=_check_programs, args=(soundfont, sorted(set(programs)), playing, teller), daemon=True
    )
    process.start()
    # The child holds the only open end now, so that its death is noticed.
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
    """What is wrong with a program; empty where nothing is."""
    pitches = np.arange(MIN_PITCH, MAX_PITCH + 1.0, 2)
    starts = np.linspace(0, 4, len(pitches))
    notes = np.stack([starts, 0 * pitches + NOTE_SECONDS, pitches, 0 * pitches + 90], axis=1)
    score = make_score([("", program, False, notes)])
    try:
        first = render_score(score, soundfont)
        # What a read past a sample finds depends on what the memory held before.
        waste = [np.full(count, 1e30, np.float32) for count in (1000, 30_000, 100_000, 300_000)]
        del waste
        again = render_score(score, soundfont)
    except DataError as error:
        return str(error)
    return "" if np.array_equal(first, again) else f"GM program {program} sounds differently each time"

"""An arrangement played through a soundfont by symusic's synthesiser."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import LEAD, Arrangement
from motion_data.errors import DataError
from motionbeat_upstream.config import SAMPLE_RATE

RENDER_RATE = 48_000
"""Hz at which the synthesiser plays; three times the result's, so that what aliases is filtered out."""

LOWEST, HIGHEST = 28, 96
"""MIDI pitches that are rendered; others are moved by octaves.

symusic 0.5.8 never returns from some programs of TimGM6mb.sf2 at some high pitches: at 48 kHz 80 pairs of
program and pitch, all from 102 upwards; at 16 kHz already inside the range of melodies."""

QUIETEST, LOUDEST = 1e-4, 100.0
"""Peaks between which a rendering is believed."""

PEAK = 0.9
"""Loudest sample of what is rendered; later stages may make it softer."""


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
            "`pip install 'motionbeat[data]'`, or give one with --soundfont"
        ) from None
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


@lru_cache(maxsize=2)
def synthesiser(soundfont: Path) -> Any:
    """A synthesiser with a soundfont loaded, kept for the life of the process.

    Raises:
        DataError: no such file, no soundfont, or symusic is not installed.
    """
    try:
        import symusic
    except ImportError:
        raise DataError(
            "symusic is not installed, and it plays the notes; `pip install 'motionbeat[data]'`"
        ) from None
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
        return symusic.Synthesizer(sf_path=str(soundfont), sample_rate=RENDER_RATE)
    except Exception as error:  # symusic raises plain exceptions of several kinds
        raise DataError(
            f"{soundfont}: a damaged soundfont ({error}); fetch it again, or give another with --soundfont"
        ) from None


def render(arrangement: Arrangement, soundfont: Path) -> NDArray[np.float32]:
    """Play an arrangement.

    Args:
        arrangement: its notes before 0 s are played as well, so that they sound on into the pair.
        soundfont: a .sf2 or .sf3 file.

    Returns:
        (T,) mono at 16 kHz, as long as the pair, its loudest sample at :data:`PEAK`.

    Raises:
        DataError: the soundfont cannot be used, or nothing sounds.
    """
    import symusic

    player = synthesiser(soundfont)
    score = symusic.Score(ttype="second")
    for part in arrangement.parts:
        track = symusic.Track(part.role, part.program, part.drums, ttype="second")
        start, length, pitch, velocity = part.notes.T
        pitch = np.round(pitch)
        if not part.drums:
            pitch = pitch + 12 * np.ceil(np.maximum(LOWEST - pitch, 0) / 12)
            pitch = pitch - 12 * np.ceil(np.maximum(pitch - HIGHEST, 0) / 12)
        track.notes = symusic.Note.from_numpy(
            (start + LEAD).astype(np.float32),
            length.astype(np.float32),
            pitch.astype(np.int8),
            np.round(velocity).astype(np.int8),
            ttype="second",
        )
        score.tracks.append(track)
    played = np.asarray(player.render(score, stereo=False))[0]
    # Lead and pair are cut exactly: both are whole samples at both rates.
    wanted = round((LEAD + arrangement.seconds) * RENDER_RATE)
    played = np.pad(played, (0, max(0, wanted - len(played))))[:wanted]
    audio = soxr.resample(played, RENDER_RATE, SAMPLE_RATE, quality=soxr.HQ)
    audio = audio[round(LEAD * SAMPLE_RATE) :][: round(arrangement.seconds * SAMPLE_RATE)]
    peak = float(np.abs(audio).max(initial=0.0))
    if not QUIETEST < peak < LOUDEST:
        fault = "nothing sounds" if peak <= QUIETEST else "what sounds is no sound that can be"
        instruments = ", ".join(f"{part.role} {part.program}" for part in arrangement.parts)
        raise DataError(f"{soundfont}: {fault} (programs: {instruments}); use another soundfont")
    scaled: NDArray[np.float32] = (audio * (PEAK / peak)).astype(np.float32)
    return scaled

"""Voices: programs of soundfonts played note by note, from synthesisers that stay open.

symusic 0.5.8 ignores a note's velocity, except to choose between the layers of a program that has several.
Here a note's level follows its velocity, and the layer is one of two.

symusic also keeps what it has read of a sample, for each pitch, as the first note that used it left it.
Therefore each synthesiser that stays open plays one program with one layer, and programs are used that sound
the same in any order of their notes (:mod:`motion_data.soundfont_survey`). What is heard then does not depend
on what was played before.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.soundfont import fold_pitches, make_score, make_synthesiser

VOICE_RATE = 44_100
"""Hz at which voices are played. Most samples have this rate and so are not resampled first; what aliases
above half of it lies beyond the 8 kHz that are kept."""

LAYER_VELOCITIES = (48, 104)
"""Velocities whose layers are played: of notes below :data:`SOFT_VELOCITY`, and of the others."""

SOFT_VELOCITY = 64
"""Velocity below which a note is played with the soft layer."""

NUM_LEVELS = 4
"""Different levels of the notes of one track; velocities are rounded to them."""

FULL_LEVEL_VELOCITY = 100.0
"""Velocity at which a voice is as loud as its samples are. A velocity of half of it is 12 dB softer, as
General MIDI recommends."""

MAX_OPEN_PITCHES = 600
"""Pairs of voice and pitch that are kept in memory; each takes some 0.2 to 2 MB."""


@dataclass(frozen=True)
class Voice:
    """A program of a soundfont."""

    soundfont: str
    """Path of the file."""
    program: int
    """General MIDI program, or kit of drums."""
    drums: bool


@dataclass
class _OpenSynthesiser:
    synthesiser: Any
    pitches: set[int] = field(default_factory=set)


_synthesisers: OrderedDict[tuple[Voice, int], _OpenSynthesiser] = OrderedDict()
"""Synthesisers by voice and layer; the last used stand at the end."""

_lock = Lock()


def play_voice(
    voice: Voice, notes: NDArray[np.float64], seconds: float, layered: bool = True
) -> NDArray[np.float32]:
    """Play notes with a voice.

    Args:
        voice: one that the survey did not exclude.
        notes: (N, 4) start and duration in seconds, start at least 0, MIDI pitch, MIDI velocity.
        seconds: length of the result.
        layered: whether soft notes have a layer of their own; False saves the time of reading it.

    Returns:
        (T,) mono at :data:`VOICE_RATE`.

    Raises:
        DataError: no soundfont, or what it plays is not finite.
    """
    out = np.zeros(round(seconds * VOICE_RATE), dtype=np.float32)
    if not len(notes):
        return out
    notes = notes.copy()
    notes[:, 2] = np.round(notes[:, 2]) if voice.drums else fold_pitches(notes[:, 2])
    velocity = notes[:, 3]
    low, high = float(velocity.min()), float(velocity.max())
    step = max((high - low) / (NUM_LEVELS - 1), 1e-9)
    level = np.round((velocity - low) / step).astype(int)
    for number in np.unique(level):
        chosen = notes[level == number]
        loud = low + number * step
        layer = LAYER_VELOCITIES[0] if layered and loud < SOFT_VELOCITY else LAYER_VELOCITIES[1]
        chosen[:, 3] = layer
        played = _render(_open_synthesiser(voice, layer, chosen[:, 2]), voice, chosen)[: len(out)]
        played *= np.float32((loud / FULL_LEVEL_VELOCITY) ** 2)
        out[: len(played)] += played
    _check_finite(out, voice, notes)
    return out


def play_with(opened: Any, voice: Voice, notes: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T,) notes of a voice as an open synthesiser at :data:`VOICE_RATE` plays them.

    Raises:
        DataError: what it plays is not finite.
    """
    played = _render(opened, voice, notes)
    _check_finite(played, voice, notes)
    return played


def _render(opened: Any, voice: Voice, notes: NDArray[np.float64]) -> NDArray[np.float32]:
    score = make_score([("", voice.program, voice.drums, notes)])
    played: NDArray[np.float32] = np.asarray(opened.render(score, stereo=False))[0]
    return played


def _check_finite(played: NDArray[np.float32], voice: Voice, notes: NDArray[np.float64]) -> None:
    # The sum of the squares is finite only where every sample is.
    if not np.isfinite(np.dot(played, played)):
        raise DataError(
            f"{voice.soundfont}: {'kit' if voice.drums else 'program'} {voice.program} plays NaN or infinity "
            f"at some of the pitches {sorted({int(pitch) for pitch in notes[:, 2]})}"
        )


def _open_synthesiser(voice: Voice, layer: int, pitches: NDArray[np.float64]) -> Any:
    """The open synthesiser of a voice and layer; of too many, those used longest ago are closed."""
    with _lock:
        entry = _synthesisers.pop((voice, layer), None) or _OpenSynthesiser(
            make_synthesiser(Path(voice.soundfont), VOICE_RATE)
        )
        entry.pitches.update(int(pitch) for pitch in pitches)
        _synthesisers[voice, layer] = entry
        while (
            len(_synthesisers) > 1
            and sum(len(other.pitches) for other in _synthesisers.values()) > MAX_OPEN_PITCHES
        ):
            _synthesisers.popitem(last=False)
        return entry.synthesiser

"""Voices: programs of soundfonts, played with synthesisers that remain open.

symusic 0.5.8 uses a note's velocity only to select a layer of a program with several layers. Here the level
of a note follows its velocity, and one of two layers is selected.

symusic also caches samples for each pitch in the state in which the first note left them. Therefore each open
synthesiser plays one program with one layer, and only programs are used that sound the same for any order of
their notes (:mod:`motion_data.soundfont_survey`). The result then does not depend on earlier notes.
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
"""Sample rate in Hz of rendering. Most samples have this rate and are not resampled. Aliasing at half of it
lies above the 8 kHz that are used."""

LAYER_VELOCITIES = (48, 104)
"""Velocities that select the layer: for notes below :data:`SOFT_VELOCITY`, and for the others."""

SOFT_VELOCITY = 64
"""Notes with a lower velocity are played with the soft layer."""

NUM_LEVELS = 4
"""Number of levels within one track; velocities are rounded to them."""

FULL_LEVEL_VELOCITY = 100.0
"""Velocity at which samples are played at their original level. Half the velocity is 12 dB softer, as General
MIDI recommends."""

MAX_OPEN_PITCHES = 600
"""Maximum number of pairs of voice and pitch in memory; each takes about 0.2 to 2 MB."""


@dataclass(frozen=True)
class Voice:
    """A program of a soundfont."""

    soundfont: str
    """Path of the file."""
    program: int
    """General MIDI program, or drum kit."""
    drums: bool


@dataclass
class _OpenSynthesiser:
    synthesiser: Any
    pitches: set[int] = field(default_factory=set)


_synthesisers: OrderedDict[tuple[Voice, int], _OpenSynthesiser] = OrderedDict()
"""Synthesisers by voice and layer, least recently used first."""

_lock = Lock()


def play_voice(
    voice: Voice, notes: NDArray[np.float64], seconds: float, layered: bool = True
) -> NDArray[np.float32]:
    """Play notes with a voice.

    Args:
        voice: a voice that the survey does not exclude.
        notes: (N, 4) start in seconds, at least 0, duration in seconds, MIDI pitch, MIDI velocity.
        seconds: length of the result.
        layered: whether soft notes are played with the soft layer; False saves the time of reading it.

    Returns:
        (T,) mono at :data:`VOICE_RATE`.

    Raises:
        DataError: the soundfont cannot be read, or the rendered sound is not finite.
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
        level_notes = notes[level == number]
        level_velocity = low + number * step
        layer = LAYER_VELOCITIES[0] if layered and level_velocity < SOFT_VELOCITY else LAYER_VELOCITIES[1]
        level_notes[:, 3] = layer
        synthesiser = _open_synthesiser(voice, layer, level_notes[:, 2])
        sound = _render(synthesiser, voice, level_notes)[: len(out)]
        sound *= np.float32((level_velocity / FULL_LEVEL_VELOCITY) ** 2)
        out[: len(sound)] += sound
    _check_finite(out, voice, notes)
    return out


def play_with(synthesiser: Any, voice: Voice, notes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Play notes of a voice with an open synthesiser at :data:`VOICE_RATE`; returns (T,) mono.

    Raises:
        DataError: the rendered sound is not finite.
    """
    sound = _render(synthesiser, voice, notes)
    _check_finite(sound, voice, notes)
    return sound


def _render(synthesiser: Any, voice: Voice, notes: NDArray[np.float64]) -> NDArray[np.float32]:
    score = make_score([("", voice.program, voice.drums, notes)])
    sound: NDArray[np.float32] = np.asarray(synthesiser.render(score, stereo=False))[0]
    return sound


def _check_finite(sound: NDArray[np.float32], voice: Voice, notes: NDArray[np.float64]) -> None:
    # The sum of squares is finite only if every sample is.
    if not np.isfinite(np.dot(sound, sound)):
        raise DataError(
            f"{voice.soundfont}: {'kit' if voice.drums else 'program'} {voice.program} plays NaN or infinity "
            f"at some of the pitches {sorted({int(pitch) for pitch in notes[:, 2]})}"
        )


def _open_synthesiser(voice: Voice, layer: int, pitches: NDArray[np.float64]) -> Any:
    """Return the synthesiser of a voice and layer; if too many are open, close the least recently used."""
    with _lock:
        entry = _synthesisers.pop((voice, layer), None)
        if entry is None:
            entry = _OpenSynthesiser(make_synthesiser(Path(voice.soundfont), VOICE_RATE))
        entry.pitches.update(int(pitch) for pitch in pitches)
        _synthesisers[voice, layer] = entry
        while (
            len(_synthesisers) > 1
            and sum(len(other.pitches) for other in _synthesisers.values()) > MAX_OPEN_PITCHES
        ):
            _synthesisers.popitem(last=False)
        return entry.synthesiser

"""How late each note of a soundfont's programs is heard, and which programs to leave out.

The onset of a note is the first sample at which its amplitude reaches a quarter (12 dB less) of the largest
amplitude of its first 0.25 s. This lies within the 6 to 15 dB that Vos and Rasch (1981, The perceptual onset
of musical tones) found for the moment at which listeners hear a tone begin. For struck and plucked sounds it
is the attack; for strings and pads it is where the rise of the tone is heard, not its first vibration.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.soundfont import MAX_PITCH, MIN_PEAK, MIN_PITCH, TIMEOUT_SECONDS, make_synthesiser
from motion_data.voices import LAYER_VELOCITIES, VOICE_RATE, Voice, play_with

ATTACK_SECONDS = 0.25
"""Seconds from a note's start within which its loudest sample is looked for."""

ONSET_RATIO = 0.25
"""Share of that amplitude which an onset reaches."""

MAX_LATENCY_SECONDS = 0.1
"""Seconds: a program whose median onset is later marks no beat and is left out."""

NOTE_SECONDS = 2.0
"""Seconds that a note is held."""

DRUM_PITCHES = (27, 87)
"""Lowest and highest pitch of General MIDI percussion."""

Latencies = dict[int, float]
"""Seconds by which a note of each pitch is heard after its start; a pitch that is silent is not there."""


@dataclass(frozen=True)
class Survey:
    """What was found of a program or kit."""

    voice: Voice
    fault: str
    """Why it is left out; empty for a good one."""
    latencies: tuple[Latencies, ...] = ()
    """One for each of :data:`~motion_data.voices.LAYER_VELOCITIES`."""


def find_onset(audio: NDArray[np.float32], rate: int) -> float | None:
    """Seconds at which a note that is alone in a sound is heard; None where nothing sounds."""
    attack = np.abs(audio[: round(ATTACK_SECONDS * rate)])
    loudest = float(attack.max(initial=0.0))
    return int(np.argmax(attack >= ONSET_RATIO * loudest)) / rate if loudest > MIN_PEAK else None


def measured_pitches(voice: Voice, percussion: bool) -> range:
    """The MIDI pitches that are measured: every drum where ``percussion``, otherwise every second pitch."""
    return range(DRUM_PITCHES[0], DRUM_PITCHES[1] + 1) if percussion else range(MIN_PITCH, MAX_PITCH + 1, 2)


def survey_voice(voice: Voice, percussion: bool) -> Survey:
    """Measure a program in this process.

    Args:
        voice: what is played.
        percussion: whether its pitches are drums, as those of an acoustic kit that is a program too.
    """
    latencies: list[Latencies] = []
    pitches = measured_pitches(voice, percussion)
    try:
        for layer in LAYER_VELOCITIES:
            up = _render_notes(voice, layer, pitches)
            found = {pitch: find_onset(audio, VOICE_RATE) for pitch, audio in up.items()}
            latencies.append({pitch: round(late, 4) for pitch, late in found.items() if late is not None})
        # What a read past a sample finds depends on what the memory held before.
        waste = [np.full(count, 1e30, np.float32) for count in (1000, 30_000, 100_000, 300_000)]
        del waste
        down = _render_notes(voice, LAYER_VELOCITIES[-1], pitches[::-1])
        for pitch, first in up.items():
            if not np.array_equal(first, down[pitch]):
                return Survey(voice, f"sounds differently each time (pitch {pitch})")
    except DataError as error:
        return Survey(voice, str(error).removeprefix(f"{voice.soundfont}: "))
    if not latencies[-1]:
        return Survey(voice, "silent")
    if not percussion and (late := float(np.median(list(latencies[-1].values())))) > MAX_LATENCY_SECONDS:
        return Survey(
            voice, f"has no attack: heard {1000 * late:.0f} ms after a note's start", tuple(latencies)
        )
    return Survey(voice, "", tuple(latencies))


def _render_notes(voice: Voice, layer: int, pitches: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """One note at each pitch, in this order, by one synthesiser."""
    opened = make_synthesiser(Path(voice.soundfont), VOICE_RATE)
    return {
        pitch: play_with(opened, voice, np.array([[0.0, NOTE_SECONDS, pitch, layer]])) for pitch in pitches
    }


def survey_voices(
    voices: Sequence[tuple[Voice, bool]],
    patience: float = TIMEOUT_SECONDS,
    measured: Callable[[Voice, bool], Survey] = survey_voice,
) -> Iterator[Survey]:
    """Measure programs in a process of its own, which is started again after a program that hangs or crashes.

    Args:
        voices: what is played, and whether its pitches are drums.
        patience: seconds to wait for one program.
        measured: what measures one.
    """
    begin = 0
    while begin < len(voices):
        listener, teller = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(
            target=_survey_from, args=(voices, begin, teller, measured), daemon=True
        )
        process.start()
        # The child holds the only open end now, so that its death is noticed.
        teller.close()
        while begin < len(voices):
            fault = f"symusic does not return from it within {patience:g} s"
            try:
                if wait([listener], patience):
                    yield listener.recv()
                    begin += 1
                    continue
            except EOFError:
                fault = "symusic crashes on it"
            yield Survey(voices[begin][0], fault)
            begin += 1
            break
        process.kill()
        process.join()


def _survey_from(
    voices: Sequence[tuple[Voice, bool]],
    begin: int,
    teller: Connection,
    measured: Callable[[Voice, bool], Survey],
) -> None:
    for number in range(begin, len(voices)):
        teller.send(measured(*voices[number]))

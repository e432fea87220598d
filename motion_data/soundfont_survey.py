"""Latency of the notes of a soundfont's programs, and programs to exclude.

The onset of a note is the first sample whose amplitude reaches a quarter (-12 dB) of the maximum of its first
0.25 s. This is within the perceptual onset threshold of 6 to 15 dB of Vos and Rasch (1981, The perceptual
onset of musical tones). For percussive and plucked sounds it is the attack; for strings and pads it is during
the rise of the tone.
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
"""The maximum of a note is searched within this time from its start."""

ONSET_RATIO = 0.25
"""Amplitude of an onset relative to this maximum."""

MAX_LATENCY_SECONDS = 0.1
"""Programs with a larger median latency have no clear onset and are excluded."""

NOTE_SECONDS = 2.0
"""Duration of the measured notes."""

DRUM_PITCHES = (27, 87)
"""Lowest and highest pitch of General MIDI percussion."""

Latencies = dict[int, float]
"""Latency in seconds by pitch, without silent pitches."""


@dataclass(frozen=True)
class Survey:
    """Measurement of a program or kit."""

    voice: Voice
    fault: str
    """Reason to exclude it; empty for a usable one."""
    latencies: tuple[Latencies, ...] = ()
    """One for each of :data:`~motion_data.voices.LAYER_VELOCITIES`."""


def find_onset(audio: NDArray[np.float32], rate: int) -> float | None:
    """Onset in seconds of the only note in a sound; None for silence."""
    attack = np.abs(audio[: round(ATTACK_SECONDS * rate)])
    loudest = float(attack.max(initial=0.0))
    return int(np.argmax(attack >= ONSET_RATIO * loudest)) / rate if loudest > MIN_PEAK else None


def measured_pitches(voice: Voice, percussion: bool) -> range:
    """MIDI pitches to measure: all drums if ``percussion``, otherwise every second pitch."""
    return range(DRUM_PITCHES[0], DRUM_PITCHES[1] + 1) if percussion else range(MIN_PITCH, MAX_PITCH + 1, 2)


def survey_voice(voice: Voice, percussion: bool) -> Survey:
    """Measure a program in this process.

    Args:
        voice: the program.
        percussion: whether its pitches are drums; true also for an acoustic kit that is a program.
    """
    latencies: list[Latencies] = []
    pitches = measured_pitches(voice, percussion)
    try:
        for layer in LAYER_VELOCITIES:
            up = _render_notes(voice, layer, pitches)
            onsets = {pitch: find_onset(audio, VOICE_RATE) for pitch, audio in up.items()}
            latencies.append({pitch: round(late, 4) for pitch, late in onsets.items() if late is not None})
        # Change the contents of free memory, which a read past a sample returns.
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
        return Survey(voice, f"has no attack: latency of {1000 * late:.0f} ms", tuple(latencies))
    return Survey(voice, "", tuple(latencies))


def _render_notes(voice: Voice, layer: int, pitches: Sequence[int]) -> dict[int, NDArray[np.float32]]:
    """Render one note at each pitch, in this order, by one synthesiser."""
    synthesiser = make_synthesiser(Path(voice.soundfont), VOICE_RATE)
    return {
        pitch: play_with(synthesiser, voice, np.array([[0.0, NOTE_SECONDS, pitch, layer]]))
        for pitch in pitches
    }


def survey_voices(
    voices: Sequence[tuple[Voice, bool]],
    patience: float = TIMEOUT_SECONDS,
    measured: Callable[[Voice, bool], Survey] = survey_voice,
) -> Iterator[Survey]:
    """Measure programs in a separate process, which is restarted after a program that hangs or crashes.

    Args:
        voices: programs, and whether their pitches are drums.
        patience: time limit per program in seconds.
        measured: function that measures one program.
    """
    begin = 0
    while begin < len(voices):
        listener, teller = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(
            target=_survey_from, args=(voices, begin, teller, measured), daemon=True
        )
        process.start()
        # The child process has the only open end, so that its death is noticed.
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

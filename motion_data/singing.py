"""Singing synthesis from syllables of recorded speech, stretched and shifted to the notes of a melody.

Pitch-synchronous overlap and add (PSOLA; Moulines and Charpentier, 1990): a voiced sound is divided into
grains of two periods, one per glottal pulse, which are added at other distances. Formants and timbre do not
change. The first pulse of a syllable is at the onset of its note; consonants come before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from motion_data.errors import DataError
from motion_data.files import read_npz
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.config import SAMPLE_RATE

HOP_SAMPLES = SAMPLE_RATE // 200

SPEECH_PITCH_HZ = (110.0, 380.0)
"""Range of the pitch of speech."""

MIN_PERIODICITY = 0.72
"""Minimum autocorrelation of a voiced frame."""

MIN_SYLLABLE_SECONDS = 0.16
"""Minimum length of a voiced syllable."""

CONSONANT_SECONDS = 0.09
"""Time before the first pulse that belongs to a syllable."""

SUNG_PITCHES = (55, 79)
"""Lowest and highest sung MIDI pitch; other notes are transposed by octaves."""

EDGE_SECONDS = 0.05
"""Time at either end of a syllable that is not stretched."""


@dataclass(frozen=True)
class Syllable:
    """A voiced syllable of speech."""

    audio: NDArray[np.float32]
    """(T,) at 16 kHz, including consonants."""
    pulses: NDArray[np.int64]
    """(P,) increasing sample indices of the glottal pulses."""


def extract_syllables(speech: NDArray[np.float32]) -> list[Syllable]:
    """Extract the voiced syllables of speech, (T,) at 16 kHz."""
    period, voiced = _estimate_periods(speech)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    low = (
        sosfiltfilt(butter(2, 900, fs=SAMPLE_RATE, output="sos"), speech)
        if len(speech) > 64
        else speech.astype(np.float64)
    )
    syllables = []
    for first, last in edges.reshape(-1, 2):
        if (last - first) * HOP_SAMPLES < MIN_SYLLABLE_SECONDS * SAMPLE_RATE:
            continue
        pulses = _find_pulses(low, period, first * HOP_SAMPLES, last * HOP_SAMPLES)
        # Jumps of the pitch by an octave are errors of the analysis.
        if len(pulses) < 8 or np.ptp(np.log2(np.diff(pulses))) > 0.7:
            continue
        begin = max(0, int(pulses[0]) - round(CONSONANT_SECONDS * SAMPLE_RATE))
        end = min(len(speech), int(pulses[-1]) + int(pulses[-1] - pulses[-2]))
        audio = speech[begin:end] / max(float(np.sqrt(np.mean(np.square(speech[pulses[0] : end])))), 1e-6)
        syllables.append(Syllable(audio.astype(np.float32), pulses - begin))
    return syllables


def _estimate_periods(speech: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(F,) period in samples, and (F,) whether voiced, of frames :data:`HOP_SAMPLES` apart."""
    size = SAMPLE_RATE // 25
    count = max(0, (len(speech) - size) // HOP_SAMPLES + 1)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(speech, (0, size)), size)[::HOP_SAMPLES][:count]
    frames = frames * np.hanning(size)
    window = np.hanning(size)
    spectrum = np.fft.rfft(np.stack([*frames, window]), 2 * size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, :size]
    shape = correlation[-1] / correlation[-1, 0]
    energy = correlation[:-1, 0]
    shortest, longest = (round(SAMPLE_RATE / hertz) for hertz in SPEECH_PITCH_HZ[::-1])
    inner = correlation[:-1, shortest:longest] / (np.maximum(energy, 1e-9)[:, None] * shape[shortest:longest])
    best = inner.argmax(axis=1)
    loud = energy > 0.003 * (energy.max() if len(energy) else 0.0)
    return (shortest + best).astype(np.float64), (inner.max(axis=1) > MIN_PERIODICITY) & loud


def _find_pulses(
    low: NDArray[np.float64], period: NDArray[np.float64], begin: int, end: int
) -> NDArray[np.int64]:
    """Sample indices of the glottal pulses of a voiced stretch, one per period."""
    size = SAMPLE_RATE // 50
    begin, end = begin + size, min(end + size, len(low))
    place = begin + int(
        np.argmax(low[begin : begin + int(period[min(begin // HOP_SAMPLES, len(period) - 1)])])
    )
    pulses = []
    while place < end:
        pulses.append(place)
        now = period[min(max(place - size, 0) // HOP_SAMPLES, len(period) - 1)]
        around = np.arange(int(place + 0.8 * now), int(place + 1.2 * now) + 1)
        around = around[around < len(low)]
        if not len(around):
            break
        place = int(around[np.argmax(low[around])])
    return np.array(pulses, dtype=np.int64)


def sing(
    notes: NDArray[np.float64], syllables: list[Syllable], seconds: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Sing notes, each with a random syllable.

    Args:
        notes: (N, 4) onset and duration in seconds, MIDI pitch, MIDI velocity.
        syllables: to draw from.
        seconds: length of the result.
        rng: for syllables and vibrato.

    Returns:
        (T,) mono at 16 kHz.
    """
    out = np.zeros(round(seconds * SAMPLE_RATE) + SAMPLE_RATE)
    choice = rng.integers(len(syllables), size=len(notes))
    depth, rate = rng.uniform(0.1, 0.5), rng.uniform(4.5, 6.5)
    shift = 12 * round((0.5 * sum(SUNG_PITCHES) - float(np.median(notes[:, 2]))) / 12) if len(notes) else 0
    following = np.append(notes[1:, 0], np.inf)
    for (start, length, pitch, velocity), number, until in zip(notes, choice, following, strict=True):
        # The voice is monophonic: a note ends at the next onset, and only the last note of a chord is sung.
        length = min(length, until - start)
        if length < 0.05 or start < 0:
            continue
        pitch += shift
        pitch += 12 * max(0, -((pitch - SUNG_PITCHES[0]) // 12)) - 12 * max(
            0, -((SUNG_PITCHES[1] - pitch) // 12)
        )
        audio, onset = _sing_syllable(syllables[number], length, pitch, depth, rate)
        begin = round(start * SAMPLE_RATE) - onset
        audio = audio[max(0, -begin) :]
        begin = max(begin, 0)
        audio = audio[: len(out) - begin]
        out[begin : begin + len(audio)] += audio * (velocity / 100) ** 2
    sung: NDArray[np.float32] = out[: round(seconds * SAMPLE_RATE)].astype(np.float32)
    return sung


def _sing_syllable(
    syllable: Syllable, length: float, pitch: float, depth: float, rate: float
) -> tuple[NDArray[np.float64], int]:
    """A syllable sung for ``length`` seconds, and the sample index of the note's onset."""
    pulses, audio = syllable.pulses, syllable.audio
    times = np.arange(0, length, 0.002)
    # Vibrato begins after a delay, and the voice slides up to the note.
    cents = 100 * depth * np.clip(times / 0.3 - 0.7, 0, 1) * np.sin(2 * np.pi * rate * times)
    cents -= 120 * np.exp(-times / 0.03)
    hertz = 440 * 2 ** ((pitch - 69 + cents / 100) / 12)
    phase = np.concatenate([[0], np.cumsum(hertz[:-1] * 0.002)])
    sung_times = np.interp(np.arange(0, int(phase[-1]) + 1), phase, times)
    spoken_times = (pulses - pulses[0]) / SAMPLE_RATE
    end = spoken_times[-1]
    edge = min(EDGE_SECONDS, end / 3, length / 3)
    source_times = np.interp(
        sung_times, [0, edge, max(length - edge, 2 * edge), length], [0, edge, end - edge, end]
    )
    source = np.abs(source_times[:, None] - spoken_times[None, :]).argmin(axis=1)
    periods = np.diff(pulses, append=2 * pulses[-1] - pulses[-2])
    reach = int(periods.max())
    offsets = np.arange(-reach, reach + 1)
    period = periods[source][:, None]
    weight = np.where(np.abs(offsets) < period, 0.5 + 0.5 * np.cos(np.pi * offsets / period), 0.0)
    samples = pulses[source][:, None] + offsets
    inside = (samples >= 0) & (samples < len(audio))
    grains = np.where(inside, audio[np.clip(samples, 0, len(audio) - 1)], 0.0) * weight
    lead = int(pulses[0])
    targets = lead + np.round(sung_times * SAMPLE_RATE).astype(np.int64)[:, None] + offsets
    valid = targets >= 0
    sung = np.bincount(targets[valid], grains[valid], minlength=lead + 1).astype(np.float64)
    consonant = (
        audio[:lead] * np.clip((lead - np.arange(lead)) / 64, 0, 1) * np.clip(np.arange(lead) / 160, 0, 1)
    )
    sung[:lead] += consonant
    fade = min(len(sung) - lead, round(0.03 * SAMPLE_RATE))
    sung[len(sung) - fade :] *= np.linspace(1, 0, fade)
    return sung, lead


def read_syllables(path: Path) -> list[Syllable]:
    """Read syllables written by :func:`write_syllables`."""
    arrays = read_npz(path)
    audio = np.split(arrays["audio"].astype(np.float32) / 2048, np.cumsum(arrays["lengths"])[:-1])
    pulses = np.split(arrays["pulses"].astype(np.int64), np.cumsum(arrays["counts"])[:-1])
    return [Syllable(*parts) for parts in zip(audio, pulses, strict=True)]


def write_syllables(path: Path, syllables: list[Syllable]) -> None:
    """Write syllables to one .npz file, their sound in 16 bits."""
    with atomic_path(path) as draft, draft.open("wb") as file:
        np.savez(
            file,
            audio=np.concatenate(
                [np.clip(np.round(s.audio * 2048), -32768, 32767).astype(np.int16) for s in syllables]
            ),
            lengths=np.array([len(syllable.audio) for syllable in syllables]),
            pulses=np.concatenate([syllable.pulses for syllable in syllables]).astype(np.int32),
            counts=np.array([len(syllable.pulses) for syllable in syllables]),
        )


def read_speech(path: Path) -> NDArray[np.float32]:
    """Read a G.722 recording: (T,) mono at 16 kHz in [-1, 1].

    Raises:
        DataError: the file is not readable.
    """
    import av

    try:
        # Raw G.722 has no header.
        with av.open(str(path), format="g722") as container:
            frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    except (OSError, ValueError) as error:  # including the errors of PyAV
        raise DataError(f"{path}: not readable as G.722 ({error}); fetch it again") from None
    return (np.concatenate(frames) / 32768).astype(np.float32) if frames else np.zeros(0, np.float32)

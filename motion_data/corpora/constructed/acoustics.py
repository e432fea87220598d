"""Acoustics of a recording: room, tone, noise, level, overload and codec. Onsets keep their times."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from motionbeat_upstream.config import SAMPLE_RATE

Audio = NDArray[np.float32]

NOISE_COLOURS = ("white", "pink", "brown", "babble")
"""White, pink (-3 dB per octave), brown (-6 dB per octave) and babble (many voices)."""

CODECS = ("vorbis", "mp3", "mu-law")

CONTAINERS = {"vorbis": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}
"""Format and subtype of each codec of libsndfile."""

MAX_AMPLITUDE = 0.99
"""Largest absolute value of a sample."""


@dataclass(frozen=True)
class Room:
    """A room with reverberation."""

    seconds: float
    """Reverberation time (RT60)."""
    level: float
    """Level of all reflections relative to the direct sound in dB."""
    damping: float
    """Cutoff frequency of the reflections in Hz."""


@dataclass(frozen=True)
class Acoustics:
    """Processing of a pair's sound; None disables a stage."""

    room: Room | None = None
    tilt: float = 0.0
    """Spectral tilt in dB per octave, around 1 kHz."""
    band: tuple[float, float] | None = None
    """Lower and upper cutoff frequency in Hz."""
    noise: tuple[str, float] | None = None
    """One of :data:`NOISE_COLOURS`, and the signal-to-noise ratio in dB."""
    drive: float | None = None
    """dB by which the peak exceeds full scale before soft clipping."""
    codec: tuple[str, float] | None = None
    """One of :data:`CODECS`, and its loss in [0, 1]."""
    gain: float = 0.0
    """Level of the result in dB."""


def draw_acoustics(rng: np.random.Generator) -> Acoustics:
    """Draw random acoustics; in about one of eight pairs only the level changes."""

    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    # Every value is drawn each time, so that the share of one stage does not affect the draws of the others.
    room = Room(
        float(np.exp(rng.uniform(np.log(0.12), np.log(1.2)))),
        float(rng.uniform(-18, -2)),
        float(np.exp(rng.uniform(np.log(1500), np.log(7000)))),
    )
    tilt = float(np.clip(rng.normal(0, 1.5), -4, 4))
    band = (float(rng.uniform(30, 350)), float(np.exp(rng.uniform(np.log(2800), np.log(7500)))))
    noise = (str(rng.choice(NOISE_COLOURS)), float(rng.uniform(3, 35)))
    drive = float(rng.uniform(1, 12))
    codec = (str(rng.choice(CODECS, p=(0.5, 0.3, 0.2))), float(rng.uniform(0, 0.9)))
    gain = -float(min(rng.exponential(6.0), 30.0))
    return Acoustics(
        room if chance(0.45) else None,
        tilt if chance(0.6) else 0.0,
        band if chance(0.2) else None,
        noise if chance(0.45) else None,
        drive if chance(0.15) else None,
        codec if chance(0.2) else None,
        gain,
    )


def apply_acoustics(audio: Audio, acoustics: Acoustics, rng: np.random.Generator) -> Audio:
    """Apply acoustics to audio.

    The direct sound is not delayed: a room only adds later reflections, filters are zero-phase, and
    libsndfile compensates the delay of codecs.

    Args:
        audio: (T,) at 16 kHz.
        acoustics: stages to apply.
        rng: for reflections and noise.

    Returns:
        (T,) at 16 kHz, within ±:data:`MAX_AMPLITUDE`.
    """
    result = _apply_filters(audio, acoustics, rng)
    if acoustics.noise is not None:
        colour, ratio = acoustics.noise
        noise = coloured_noise(colour, len(audio), rng)
        result = result + noise * np.float32(_rms(result) / max(_rms(noise), 1e-9) * 10 ** (-ratio / 20))
    peak = max(float(np.abs(result).max()), 1e-9)
    if acoustics.drive is not None:
        result = np.tanh(result * np.float32(10 ** (acoustics.drive / 20) / peak))
        peak = max(float(np.abs(result).max()), 1e-9)
    result = (result * np.float32(10 ** (acoustics.gain / 20) * MAX_AMPLITUDE / peak)).astype(np.float32)
    if acoustics.codec is not None:
        result = apply_codec(result, *acoustics.codec)
    return np.clip(result, -MAX_AMPLITUDE, MAX_AMPLITUDE)


def _rms(audio: Audio) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))


def _apply_filters(audio: Audio, acoustics: Acoustics, rng: np.random.Generator) -> Audio:
    """Apply room, tilt and band by one multiplication in the frequency domain."""
    room, tilt, band = acoustics.room, acoustics.tilt, acoustics.band
    if room is None and tilt == 0 and band is None:
        return audio
    response = impulse_response(room, rng) if room is not None else np.ones(1, dtype=np.float32)
    # Padding for the response of a zero-phase filter before the first sample and after the last.
    size = next_fast_len(len(audio) + len(response) + SAMPLE_RATE // 10, real=True)
    spectrum = rfft(audio, size)
    if room is not None:
        spectrum *= rfft(response, size)
    octaves = np.log2(np.maximum(rfftfreq(size, 1 / SAMPLE_RATE), 30.0) / 1000.0)
    decibels = tilt * octaves
    if band is not None:
        low, high = np.log2(np.array(band) / 1000.0)
        # 24 dB per octave: steeper zero-phase filters cause audible pre-ringing.
        decibels = decibels - 24.0 * (np.maximum(low - octaves, 0) + np.maximum(octaves - high, 0))
    if tilt or band is not None:
        spectrum *= (10 ** (np.minimum(decibels, 30.0) / 20)).astype(np.float32)
    filtered: Audio = irfft(spectrum, size)[: len(audio)].astype(np.float32)
    return filtered


def impulse_response(room: Room, rng: np.random.Generator) -> Audio:
    """Synthetic impulse response: the direct sound at sample 0, early reflections, and decaying noise.

    Exponentially decaying noise models the late field of a diffuse room (Moorer, 1979).
    """
    count = int(room.seconds * SAMPLE_RATE)
    times = np.arange(count, dtype=np.float32) / SAMPLE_RATE
    late = rng.standard_normal(count, dtype=np.float32) * np.exp(np.float32(-6.91 / room.seconds) * times)
    first = int(rng.uniform(0.003, 0.02) * SAMPLE_RATE)
    late[:first] = 0
    early = rng.integers(first, max(first + 1, min(count, int(0.08 * SAMPLE_RATE))), 8)
    late[early] += (
        rng.choice([-1.0, 1.0], 8) * rng.uniform(2, 8, 8) * np.exp(-6.91 / room.seconds * times[early])
    )
    # A causal low-pass filter, so that no reflection comes early.
    decay = np.exp(-2 * np.pi * room.damping / SAMPLE_RATE)
    taps = np.arange(64)
    kernel = ((1 - decay) * decay**taps).astype(np.float32)
    late = np.convolve(late, kernel)[:count].astype(np.float32)
    late *= np.float32(10 ** (room.level / 20) / max(float(np.sqrt(np.sum(np.square(late)))), 1e-9))
    late[0] += 1.0
    return late


def coloured_noise(colour: str, length: int, rng: np.random.Generator) -> Audio:
    """(length,) noise of one of :data:`NOISE_COLOURS`; its level is arbitrary."""
    noise: Audio = rng.standard_normal(length, dtype=np.float32)
    if colour == "white":
        return noise
    size = next_fast_len(length, real=True)
    hertz = np.maximum(rfftfreq(size, 1 / SAMPLE_RATE), 20.0)
    if colour == "babble":
        # Approximate long-term spectrum of speech: flat to 500 Hz, then -9 dB per octave.
        shape = np.where(hertz < 100, hertz / 100, np.minimum(1.0, (500 / hertz) ** 1.5))
    else:
        shape = hertz ** (-0.5 if colour == "pink" else -1.0)
    noise = irfft(rfft(noise, size) * shape.astype(np.float32), size)[:length].astype(np.float32)
    if colour == "babble":
        # Syllables: a few per second, of several voices, so that the level never falls to zero.
        knots = rng.gamma(3.0, 1.0, length * 5 // SAMPLE_RATE + 3)
        times = np.arange(length) * (5 / SAMPLE_RATE)
        noise = (noise * (0.3 + np.interp(times, np.arange(len(knots)), knots / 3))).astype(np.float32)
    return noise


def apply_codec(audio: Audio, codec: str, loss: float) -> Audio:
    """Encode and decode audio, (T,) at 16 kHz in [-1, 1]; onsets keep their times.

    Args:
        audio: (T,) at 16 kHz in [-1, 1].
        codec: ``vorbis``, ``mp3`` or ``opus`` (libsndfile, in memory), or ``mu-law`` with 4 to 8 bits.
        loss: 0 for the best quality, 1 for the worst.
    """
    if codec == "mu-law":
        steps = 2.0 ** (8 - 4 * loss) - 1
        companded = np.sign(audio) * np.log1p(255 * np.abs(audio)) / np.log(256)
        companded = np.round((companded + 1) / 2 * steps) / steps * 2 - 1
        expanded = np.sign(companded) * np.expm1(np.abs(companded) * np.log(256)) / 255
        return np.asarray(expanded, dtype=np.float32)
    container, subtype = CONTAINERS[codec]
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, SAMPLE_RATE, format=container, subtype=subtype, compression_level=loss)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    decoded = decoded[: len(audio)]
    return np.pad(decoded, (0, len(audio) - len(decoded))).astype(np.float32)

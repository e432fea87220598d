"""What a recording goes through before it is played anywhere: mastering, an audience, a record, a codec.

No onset is moved: level changes look back only, noises are added, and libsndfile takes out the delay of Opus.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import lfilter

from motion_data.corpora.constructed.acoustics import coloured_noise
from motion_data.corpora.constructed.sounds import SoundShares
from motion_data.soundfont import PEAK_AMPLITUDE
from motionbeat_upstream.config import SAMPLE_RATE

Audio = NDArray[np.float32]

BLOCK_SAMPLES = 32
"""Samples between two values of the compressor's gain."""

LIMITERS = ("soft", "hard")
"""How peaks are held: bent by tanh, or cut off."""


@dataclass(frozen=True)
class Production:
    """What is done to a mix; None leaves a stage out."""

    compressor: tuple[float, float, float] | None = None
    """Threshold in dB below the loudest sample, ratio, and seconds of release."""
    limiter: tuple[str, float] | None = None
    """One of :data:`LIMITERS`, and dB by which the loudest sample is driven over it."""
    vinyl: float | None = None
    """dB by which the music is above rumble and hiss."""
    crowd: tuple[str, float] | None = None
    """applause or audience, and dB by which the music is above it."""
    opus: float | None = None
    """How much the codec takes away, in [0, 1]."""


def draw_production(shares: SoundShares, rng: np.random.Generator) -> Production:
    """Random production."""
    # All is drawn each time, so that one share does not move the others' draws.
    compressor = float(rng.uniform(8, 26)), float(rng.uniform(1.5, 8)), float(np.exp(rng.uniform(-3.2, -0.9)))
    limiter = str(rng.choice(LIMITERS)), float(rng.uniform(0, 9))
    vinyl = float(rng.uniform(15, 40))
    crowd = str(rng.choice(("applause", "audience"))), float(rng.uniform(6, 30))
    opus = float(rng.uniform(0, 1))
    chance = rng.random(4)
    mastered = chance[0] < shares.mastering
    return Production(
        compressor if mastered else None,
        limiter if mastered else None,
        vinyl if chance[1] < shares.vinyl else None,
        crowd if chance[2] < shares.crowd else None,
        opus if chance[3] < shares.codec else None,
    )


def apply_production(audio: Audio, production: Production, rng: np.random.Generator) -> Audio:
    """Process a mix, (T,) at 16 kHz; the peak becomes :data:`~motion_data.soundfont.PEAK_AMPLITUDE`."""
    if production.compressor is not None:
        audio = compress(audio, *production.compressor)
    if production.limiter is not None:
        kind, over = production.limiter
        driven = audio * np.float32(10 ** (over / 20) / max(float(np.abs(audio).max()), 1e-9))
        audio = np.tanh(1.8 * driven) if kind == "soft" else np.clip(driven, -1, 1)
    if production.crowd is not None:
        kind, above = production.crowd
        noise = (
            crowd_applause(len(audio), rng)
            if kind == "applause"
            else coloured_noise("babble", len(audio), rng)
        )
        audio = audio + noise * _noise_gain(audio, noise, above)
    if production.vinyl is not None:
        noise = coloured_noise("brown", len(audio), rng) + np.float32(0.02) * coloured_noise(
            "white", len(audio), rng
        )
        audio = audio + noise * _noise_gain(audio, noise, production.vinyl) + vinyl_crackle(audio, rng)
    audio = audio * np.float32(PEAK_AMPLITUDE / max(float(np.abs(audio).max()), 1e-9))
    if production.opus is not None:
        audio = opus_coded(audio, production.opus)
    return audio.astype(np.float32)


def _noise_gain(audio: Audio, noise: Audio, above: float) -> np.float32:
    """By which noise is multiplied so that the music is ``above`` dB above it."""
    music, other = (max(float(np.sqrt(np.mean(np.square(sound)))), 1e-9) for sound in (audio, noise))
    return np.float32(music / other * 10 ** (-above / 20))


def compress(audio: Audio, threshold: float, ratio: float, release: float) -> Audio:
    """What is louder than ``threshold`` dB below the loudest sample is turned down.

    Args:
        audio: (T,) at 16 kHz.
        threshold: dB, at least 0.
        ratio: dB above the threshold for one dB that remains.
        release: seconds within which the gain returns; it is turned down within 5 ms.
    """
    count = -(-len(audio) // BLOCK_SAMPLES)
    blocks = np.pad(audio, (0, count * BLOCK_SAMPLES - len(audio))).reshape(count, BLOCK_SAMPLES)
    level = np.abs(blocks).max(axis=1)
    # A level that has been is heard on, so that the gain does not follow each wave.
    decay = np.exp(-BLOCK_SAMPLES / SAMPLE_RATE / release)
    steps = np.log(np.maximum(level, 1e-6)) - np.arange(count) * np.log(decay)
    held = np.exp(np.maximum.accumulate(steps) + np.arange(count) * np.log(decay))
    over = 20 * np.log10(held / max(float(level.max()), 1e-6)) + threshold
    reduction = np.maximum(over, 0) * (1 / ratio - 1)
    smooth = np.exp(-BLOCK_SAMPLES / SAMPLE_RATE / 0.005)
    reduction = lfilter([1 - smooth], [1, -smooth], reduction)
    places = np.arange(len(audio)) / BLOCK_SAMPLES
    gain = np.interp(places, np.arange(count) + 0.5, 10 ** (reduction / 20)).astype(np.float32)
    return audio * gain


def crowd_applause(length: int, rng: np.random.Generator) -> Audio:
    """(length,) many people clapping, each some four times a second, louder and softer together."""
    claps = rng.poisson(length * 250 / SAMPLE_RATE)
    impulses = np.zeros(length, dtype=np.float32)
    np.add.at(impulses, rng.integers(0, length, claps), rng.lognormal(0, 0.7, claps).astype(np.float32))
    times = np.arange(round(0.02 * SAMPLE_RATE)) / SAMPLE_RATE
    clap = rng.standard_normal(len(times)) * np.exp(-times / 0.004)
    heard = np.convolve(impulses, clap.astype(np.float32))[:length]
    knots = rng.uniform(0.3, 1.0, length // (2 * SAMPLE_RATE) + 2)
    swell = np.interp(np.arange(length) / (2 * SAMPLE_RATE), np.arange(len(knots)), knots)
    return (heard * swell).astype(np.float32)


def vinyl_crackle(audio: Audio, rng: np.random.Generator) -> Audio:
    """(T,) clicks of a record, some 1 to 30 a second, at most a third as loud as the music."""
    clicks = np.zeros(len(audio), dtype=np.float32)
    count = rng.poisson(np.exp(rng.uniform(0, 3.4)) * len(audio) / SAMPLE_RATE)
    size = np.minimum(rng.exponential(0.06, count), 0.33) * rng.choice([-1, 1], count)
    clicks[rng.integers(0, len(audio), count)] = size * float(np.abs(audio).max())
    return np.convolve(clicks, np.array([1, -0.6, 0.3, -0.1], dtype=np.float32))[: len(audio)]


def opus_coded(audio: Audio, loss: float) -> Audio:
    """(T,) what is left after Opus, at the same times; its quality is best at ``loss`` 0, worst at 1."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=loss)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    decoded = decoded[: len(audio)]
    return np.pad(decoded, (0, len(audio) - len(decoded))).astype(np.float32)

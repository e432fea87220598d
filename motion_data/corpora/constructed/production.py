"""Production of a recording: mastering, audience noise, vinyl noise and Opus. Onsets keep their times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from motion_data.corpora.constructed.acoustics import apply_codec, coloured_noise
from motion_data.corpora.constructed.sounds import SoundShares
from motion_data.soundfont import PEAK_AMPLITUDE
from motionbeat_upstream.config import SAMPLE_RATE

Audio = NDArray[np.float32]

BLOCK_SAMPLES = 32
"""Samples per value of the compressor's gain."""

LIMITERS = ("soft", "hard")
"""Soft clipping (tanh) and hard clipping."""


@dataclass(frozen=True)
class Production:
    """Processing of a mix; None disables a stage."""

    compressor: tuple[float, float, float] | None = None
    """Threshold in dB below the peak, ratio, and release in seconds."""
    limiter: tuple[str, float] | None = None
    """One of :data:`LIMITERS`, and dB by which the peak exceeds its threshold."""
    vinyl: float | None = None
    """Level of the music above rumble and hiss in dB."""
    crowd: tuple[str, float] | None = None
    """``applause`` or ``audience``, and the level of the music above it in dB."""
    opus: float | None = None
    """Loss of the codec in [0, 1]."""


def draw_production(shares: SoundShares, rng: np.random.Generator) -> Production:
    """Draw a random production."""
    # Every value is drawn each time, so that one share does not affect the draws of the others.
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
        audio = apply_codec(audio, "opus", production.opus)
    return audio.astype(np.float32)


def _noise_gain(audio: Audio, noise: Audio, above: float) -> np.float32:
    """Factor for the noise, so that the music is ``above`` dB louder."""
    music, other = (max(float(np.sqrt(np.mean(np.square(sound)))), 1e-9) for sound in (audio, noise))
    return np.float32(music / other * 10 ** (-above / 20))


def compress(audio: Audio, threshold: float, ratio: float, release: float) -> Audio:
    """Compress the dynamic range, causally.

    Args:
        audio: (T,) at 16 kHz.
        threshold: dB below the peak, at least 0.
        ratio: input dB above the threshold per output dB.
        release: release time in seconds; the attack time is 5 ms.
    """
    count = -(-len(audio) // BLOCK_SAMPLES)
    blocks = np.pad(audio, (0, count * BLOCK_SAMPLES - len(audio))).reshape(count, BLOCK_SAMPLES)
    level = np.abs(blocks).max(axis=1)
    # The level decays slowly, so that the gain does not follow single periods.
    decay = np.exp(-BLOCK_SAMPLES / SAMPLE_RATE / release)
    steps = np.log(np.maximum(level, 1e-6)) - np.arange(count) * np.log(decay)
    peak_level = np.exp(np.maximum.accumulate(steps) + np.arange(count) * np.log(decay))
    over = 20 * np.log10(peak_level / max(float(level.max()), 1e-6)) + threshold
    reduction = np.maximum(over, 0) * (1 / ratio - 1)
    smooth = np.exp(-BLOCK_SAMPLES / SAMPLE_RATE / 0.005)
    reduction = lfilter([1 - smooth], [1, -smooth], reduction)
    blocks_at = np.arange(len(audio)) / BLOCK_SAMPLES
    gain = np.interp(blocks_at, np.arange(count) + 0.5, 10 ** (reduction / 20)).astype(np.float32)
    return audio * gain


def crowd_applause(length: int, rng: np.random.Generator) -> Audio:
    """(length,) applause of a large crowd, as filtered Poisson impulses with a common swell."""
    claps = rng.poisson(length * 250 / SAMPLE_RATE)
    impulses = np.zeros(length, dtype=np.float32)
    np.add.at(impulses, rng.integers(0, length, claps), rng.lognormal(0, 0.7, claps).astype(np.float32))
    times = np.arange(round(0.02 * SAMPLE_RATE)) / SAMPLE_RATE
    clap = rng.standard_normal(len(times)) * np.exp(-times / 0.004)
    sound = np.convolve(impulses, clap.astype(np.float32))[:length]
    knots = rng.uniform(0.3, 1.0, length // (2 * SAMPLE_RATE) + 2)
    swell = np.interp(np.arange(length) / (2 * SAMPLE_RATE), np.arange(len(knots)), knots)
    return (sound * swell).astype(np.float32)


def vinyl_crackle(audio: Audio, rng: np.random.Generator) -> Audio:
    """(T,) clicks of a vinyl record, 1 to 30 per second, at most a third as loud as the music."""
    clicks = np.zeros(len(audio), dtype=np.float32)
    count = rng.poisson(np.exp(rng.uniform(0, 3.4)) * len(audio) / SAMPLE_RATE)
    size = np.minimum(rng.exponential(0.06, count), 0.33) * rng.choice([-1, 1], count)
    clicks[rng.integers(0, len(audio), count)] = size * float(np.abs(audio).max())
    return np.convolve(clicks, np.array([1, -0.6, 0.3, -0.1], dtype=np.float32))[: len(audio)]

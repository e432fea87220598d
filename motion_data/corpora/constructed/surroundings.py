"""Silence, fades and applause around the music of a pair, and sounds of pairs without music."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.acoustics import NOISE_COLOURS, coloured_noise
from motionbeat_upstream.config import SAMPLE_RATE

if TYPE_CHECKING:
    from motion_data.corpora.constructed.arrangement import Arrangement

Audio = NDArray[np.float32]

MIN_MUSIC_SECONDS, MIN_MUSIC_BARS = 6.0, 3
"""Minimum length of the music."""

MAX_SILENCE_SECONDS = 6.0
"""Maximum silence before or after the music."""

DOWNBEAT_TOLERANCE_SECONDS = 0.04
"""Notes that begin by this much before a downbeat belong to it."""

MIN_AUDIBLE_GAIN = 0.01
"""Gain below which faded music counts as silence, without beats."""

BEATLESS_SOUNDS = ("silence", "noise", "applause")
"""Sounds of a pair without music."""


@dataclass(frozen=True)
class Surroundings:
    """Beginning and end of the music; times are seconds of the pair."""

    start: float = 0.0
    """Beginning of the music, after silence."""
    stop: float = np.inf
    """Onset of its last notes."""
    fade_in: float = 0.0
    """Length of the fade from ``start``."""
    fade_out: float = 0.0
    """Length of the fade at the end of the pair."""
    applause: bool = False
    """Whether applause follows ``stop``."""


NO_SURROUNDINGS = Surroundings()
"""Music from end to end."""


def draw_surroundings(arrangement: Arrangement, rng: np.random.Generator) -> Surroundings:
    """Draw random surroundings; two of three pairs have none. Silence begins or ends at a downbeat."""
    seconds = arrangement.seconds
    bar = arrangement.grid.metre * 60 / arrangement.grid.bpm
    spare = seconds - max(MIN_MUSIC_SECONDS, MIN_MUSIC_BARS * bar)
    kind = rng.choice(["none", "before", "after", "both", "fade in", "fade out"], p=KIND_PROBABILITIES)
    before, after = rng.uniform(0.3, MAX_SILENCE_SECONDS, 2)
    fade, clapped = rng.uniform(0.15, 0.6) * seconds, rng.random() < 0.3
    if spare <= 0 or kind == "none":
        return NO_SURROUNDINGS
    if kind == "fade in":
        return Surroundings(fade_in=float(fade))
    if kind == "fade out":
        return Surroundings(fade_out=float(fade))
    downbeats = arrangement.grid.downbeats
    shrink = min(1.0, spare / (before * (kind != "after") + after * (kind != "before")))
    starts = downbeats[downbeats <= before * shrink] if kind != "after" else downbeats[:0]
    stops = downbeats[downbeats >= seconds - after * shrink] if kind != "before" else downbeats[:0]
    start = float(starts[-1]) if len(starts) else 0.0
    stop = float(stops[0]) if len(stops) else np.inf
    return Surroundings(start, stop, applause=bool(clapped and np.isfinite(stop)))


KIND_PROBABILITIES = (0.66, 0.08, 0.08, 0.04, 0.05, 0.09)
"""Of each kind of surroundings."""


def trim_to_music(arrangement: Arrangement, around: Surroundings) -> Arrangement:
    """Remove notes and beats outside the music.

    The last downbeat, at ``stop``, is kept. The arrangement is returned unchanged if fewer than two beats or
    no notes would remain.
    """
    first = around.start - DOWNBEAT_TOLERANCE_SECONDS if around.start > 0 else -np.inf
    parts = []
    for part in arrangement.parts:
        starts = part.notes[:, 0]
        notes = part.notes[(starts >= first) & (starts <= around.stop + DOWNBEAT_TOLERANCE_SECONDS)]
        if len(notes):
            parts.append(replace(part, notes=notes))
    grid = arrangement.grid
    audible = music_gain(around, arrangement.seconds, grid.beats) >= MIN_AUDIBLE_GAIN
    inside = (grid.beats >= around.start - 1e-9) & (grid.beats <= around.stop + 1e-9) & audible
    if np.count_nonzero(inside) < 2 or not parts:
        return arrangement
    grid = replace(grid, beats=grid.beats[inside], positions=grid.positions[inside])
    return replace(arrangement, parts=tuple(parts), grid=grid, surroundings=around)


def music_gain(around: Surroundings, seconds: float, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) gain of the music in [0, 1] at (N,) times of a pair that lasts ``seconds``."""
    level = np.ones(len(times))
    if around.fade_in:
        level *= np.sin(np.pi / 2 * np.clip((times - around.start) / around.fade_in, 0, 1)) ** 2
    if around.fade_out:
        level *= np.sin(np.pi / 2 * np.clip((seconds - times) / around.fade_out, 0, 1)) ** 2
    return level


def apply_surroundings(audio: Audio, around: Surroundings, rng: np.random.Generator) -> Audio:
    """Apply fades and add applause to (T,) audio at 16 kHz."""
    if around.fade_in or around.fade_out:
        times = np.arange(len(audio)) / SAMPLE_RATE
        audio = (audio * music_gain(around, len(audio) / SAMPLE_RATE, times)).astype(np.float32)
    if around.applause:
        begin = round((around.stop + rng.uniform(0.2, 1.0)) * SAMPLE_RATE)
        if begin < len(audio):
            clapping = applause(len(audio) - begin, rng)
            audio = audio.copy()
            audio[begin:] += np.float32(rng.uniform(0.2, 0.9)) * clapping
    return audio


def beatless_sound(kind: str, seconds: float, rng: np.random.Generator) -> Audio:
    """(T,) sound without beats, at 16 kHz.

    Args:
        kind: one of :data:`BEATLESS_SOUNDS`; silence is noise about 70 dB below full scale, as in recordings.
        seconds: length.
        rng: random generator.
    """
    length = round(seconds * SAMPLE_RATE)
    if kind == "applause":
        return applause(length, rng)
    noise = coloured_noise(str(rng.choice(NOISE_COLOURS)), length, rng)
    peak = 3e-4 if kind == "silence" else 0.5
    scaled: Audio = (noise * (peak / np.abs(noise).max())).astype(np.float32)
    return scaled


def applause(length: int, rng: np.random.Generator) -> Audio:
    """(length,) applause of 20 to 120 people that swells and fades, with a peak of 0.5."""
    # Periods are similar, with jitter: 20 or more people have no common pulse.
    claps = np.zeros(length + SAMPLE_RATE)
    for _ in range(int(rng.integers(20, 120))):
        period = rng.uniform(0.16, 0.34)
        count = int(len(claps) / SAMPLE_RATE / period) + 1
        times = rng.uniform(0, period) + np.cumsum(period * rng.uniform(0.75, 1.25, count))
        samples = (times * SAMPLE_RATE).astype(np.int64)
        samples = samples[samples < len(claps)]
        np.add.at(claps, samples, rng.uniform(0.2, 1.0) * rng.uniform(0.7, 1.0, len(samples)))
    taps = np.arange(int(0.02 * SAMPLE_RATE))
    hands = rng.standard_normal((4, len(taps))) * np.exp(-taps / (0.004 * SAMPLE_RATE))
    # Cupped and flat hands have different resonances.
    hands *= 1 + np.cos(2 * np.pi * rng.uniform(700, 2500, (4, 1)) * taps / SAMPLE_RATE)
    owner = rng.integers(len(hands), size=len(claps))
    sound = sum(np.convolve(claps * (owner == hand), hands[hand])[:length] for hand in range(len(hands)))
    knots = np.clip(np.cumsum(rng.normal(0, 0.25, length // SAMPLE_RATE + 3)), -1.2, 0.6)
    swell = np.exp(np.interp(np.arange(length) / SAMPLE_RATE, np.arange(len(knots)), knots))
    swelling = np.asarray(sound) * swell
    scaled: Audio = (0.5 * swelling / max(float(np.abs(swelling).max()), 1e-9)).astype(np.float32)
    return scaled

"""What is around the music of a pair: silence, fades, applause. And what sounds where there is no music."""

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
"""Seconds, and bars, of music that are left at least."""

MAX_SILENCE_SECONDS = 6.0
"""Seconds of silence before or after it, at most."""

DOWNBEAT_TOLERANCE_SECONDS = 0.04
"""Seconds before the first downbeat from which on a note belongs to it."""

MIN_AUDIBLE_GAIN = 0.01
"""Share of its level below which faded music is taken for silence: it has no beats."""

BEATLESS_SOUNDS = ("silence", "noise", "applause")
"""What sounds in a pair without music."""


@dataclass(frozen=True)
class Surroundings:
    """What is done to the ends of the music; times are seconds of the pair."""

    start: float = 0.0
    """When the music begins; before, there is silence."""
    stop: float = np.inf
    """When its last notes begin."""
    fade_in: float = 0.0
    """Seconds from ``start`` on in which it becomes as loud as it is."""
    fade_out: float = 0.0
    """Seconds at the end of the pair in which it becomes silent."""
    applause: bool = False
    """Whether applause follows ``stop``."""


NO_SURROUNDINGS = Surroundings()
"""Music from end to end."""


def draw_surroundings(arrangement: Arrangement, rng: np.random.Generator) -> Surroundings:
    """Random surroundings; two pairs in three have none. Silence borders on a downbeat."""
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
    """The arrangement with notes and beats where the music is alone.

    The last downbeat, at ``stop``, is played. Where that would leave fewer than two beats, or no note, all is
    left as it is.
    """
    first = around.start - DOWNBEAT_TOLERANCE_SECONDS if around.start > 0 else -np.inf
    parts = []
    for part in arrangement.parts:
        starts = part.notes[:, 0]
        notes = part.notes[(starts >= first) & (starts <= around.stop + DOWNBEAT_TOLERANCE_SECONDS)]
        if len(notes):
            parts.append(replace(part, notes=notes))
    grid = arrangement.grid
    heard = music_gain(around, arrangement.seconds, grid.beats) >= MIN_AUDIBLE_GAIN
    inside = (grid.beats >= around.start - 1e-9) & (grid.beats <= around.stop + 1e-9) & heard
    if np.count_nonzero(inside) < 2 or not parts:
        return arrangement
    grid = replace(grid, beats=grid.beats[inside], positions=grid.positions[inside])
    return replace(arrangement, parts=tuple(parts), grid=grid, surroundings=around)


def music_gain(around: Surroundings, seconds: float, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of the music at some times of a pair of so many seconds, in [0, 1]."""
    level = np.ones(len(times))
    if around.fade_in:
        level *= np.sin(np.pi / 2 * np.clip((times - around.start) / around.fade_in, 0, 1)) ** 2
    if around.fade_out:
        level *= np.sin(np.pi / 2 * np.clip((seconds - times) / around.fade_out, 0, 1)) ** 2
    return level


def apply_surroundings(audio: Audio, around: Surroundings, rng: np.random.Generator) -> Audio:
    """(T,) the sound of music with its fades and applause."""
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
    """(T,) at 16 kHz: sound without a beat.

    Args:
        kind: one of :data:`BEATLESS_SOUNDS`; silence is noise about 70 dB below full scale, as in recordings.
        seconds: length.
        rng: for the sound.
    """
    length = round(seconds * SAMPLE_RATE)
    if kind == "applause":
        return applause(length, rng)
    noise = coloured_noise(str(rng.choice(NOISE_COLOURS)), length, rng)
    peak = 3e-4 if kind == "silence" else 0.5
    scaled: Audio = (noise * (peak / np.abs(noise).max())).astype(np.float32)
    return scaled


def applause(length: int, rng: np.random.Generator) -> Audio:
    """(length,) many hands that clap at times of their own, swelling and dying away; at most 0.5."""
    # Each person claps about as fast as the others, with jitter: no common pulse is left of 20 or more.
    claps = np.zeros(length + SAMPLE_RATE)
    for _ in range(int(rng.integers(20, 120))):
        period = rng.uniform(0.16, 0.34)
        count = int(len(claps) / SAMPLE_RATE / period) + 1
        times = rng.uniform(0, period) + np.cumsum(period * rng.uniform(0.75, 1.25, count))
        places = (times * SAMPLE_RATE).astype(np.int64)
        places = places[places < len(claps)]
        np.add.at(claps, places, rng.uniform(0.2, 1.0) * rng.uniform(0.7, 1.0, len(places)))
    taps = np.arange(int(0.02 * SAMPLE_RATE))
    hands = rng.standard_normal((4, len(taps))) * np.exp(-taps / (0.004 * SAMPLE_RATE))
    # Cupped and flat hands: noises about a resonance each.
    hands *= 1 + np.cos(2 * np.pi * rng.uniform(700, 2500, (4, 1)) * taps / SAMPLE_RATE)
    owner = rng.integers(len(hands), size=len(claps))
    sound = sum(np.convolve(claps * (owner == one), hands[one])[:length] for one in range(len(hands)))
    knots = np.clip(np.cumsum(rng.normal(0, 0.25, length // SAMPLE_RATE + 3)), -1.2, 0.6)
    swell = np.exp(np.interp(np.arange(length) / SAMPLE_RATE, np.arange(len(knots)), knots))
    heard = np.asarray(sound) * swell
    scaled: Audio = (0.5 * heard / max(float(np.abs(heard).max()), 1e-9)).astype(np.float32)
    return scaled

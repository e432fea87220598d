"""A motion's own tempo and grid, without any music [O].

Retrieval is reported also with each side on a grid of its own: then the grid tells the motion tower
nothing of the music. The tempo comes from how a motion's touch-downs and halts repeat themselves;
beats from the decoder that finds them in audio. Which beat opens a bar is a guess from where the
weight lies: the phase rotation does not depend on it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from motion_data.motion import Motion
from motion_data.rhythm.accent_mass import pulse_weights
from motion_data.rhythm.speed import resample_track, smoothed_speed
from motionbeat_upstream.tracking.beat_decoding import decode_beats
from motionbeat_upstream.tracking.grid import Grid, fallback_grid

RATE = 100.0
"""Samples a second of the activation."""

PULSE_WIDTH_SECONDS = 0.04
"""Standard deviation in seconds of the bump that stands for a touch-down."""

MIN_BPM, MAX_BPM, TEMPI_PER_OCTAVE = 50.0, 200.0, 48
"""Range of tempi in beats a minute, and how many are tried in an octave."""

PREFERRED_BPM, PREFERENCE_OCTAVES = 115.0, 0.7
"""The tempo that bodies take to, in beats a minute, and the standard deviation around it in octaves: which
of several pulses is called the beat."""

LAG_WEIGHTS = ((1, 1.0), (2, 1.0), (4, 0.5))
"""Beats after which the motion is compared with itself, and how much each counts."""

NOISE_CORRELATION = 1.1
"""b in b / √seconds, below which the likeness to itself stays in 95 of 100 motions with steps at random
intervals, 4 s to 60 s long."""

CERTAIN_CORRELATION = 0.6
"""Likeness to itself from which on confidence is 1."""

TRIPLE_METRE_MARGIN = 1.0
"""By how many standard errors bars of three have to stand out more than bars of four."""


def motion_grid(motion: Motion, duration: float) -> Grid:
    """Beats and bars as the motion itself has them.

    Args:
        motion: on the clip's clock.
        duration: of the clip in seconds, above 0; it begins at 0.

    Returns:
        A grid whose confidence says how well the motion repeats itself; its downbeats have confidence 0.
        Where it does no better than steps at random,
        :func:`~motionbeat_upstream.tracking.grid.fallback_grid`, with confidence 0.
    """
    activation = _activation(motion, duration)
    period, clarity = _estimate_period(activation)
    noise = NOISE_CORRELATION / math.sqrt(duration)
    confidence = min(1.0, (clarity - noise) / max(CERTAIN_CORRELATION - noise, 0.05))
    if confidence <= 0:
        return fallback_grid(duration)
    frames = decode_beats(
        torch.from_numpy(activation).float()[None],
        torch.tensor([period * RATE], dtype=torch.float32),
        torch.zeros(1, len(activation), dtype=torch.int64),
        torch.tensor([len(activation)]),
        RATE,
    )[0]
    if len(frames) < 2:
        return fallback_grid(duration)
    beats = frames / RATE
    near = np.array([activation[max(0, frame - 5) : frame + 6].max() for frame in frames])
    metre, place = _estimate_metre(near)
    positions = (np.arange(len(beats)) - place) % metre + 1
    return Grid(beats, positions, metre, confidence, downbeat_confidence=0.0)


def _activation(motion: Motion, duration: float) -> NDArray[np.float64]:
    """(F,) at ``RATE`` of mean 0 and standard deviation 1: touch-downs and halts; 0 where there are none."""
    frames = max(2, round(duration * RATE))
    clock = np.arange(frames) / RATE
    weights = pulse_weights(motion)
    parts = []
    times = np.concatenate([np.empty(0), *motion.pulses.values()])
    if len(times):
        weight = np.concatenate([weights[limb] for limb in motion.pulses])
        parts.append(np.exp(-0.5 * ((clock[:, None] - times) / PULSE_WIDTH_SECONDS) ** 2) @ weight)
    if motion.joints.shape[1]:
        speed = smoothed_speed(resample_track(motion.joints, motion.fps, RATE), RATE).mean(axis=1)
        halting = np.maximum(-np.gradient(gaussian_filter1d(speed, PULSE_WIDTH_SECONDS * RATE)), 0) * RATE
        parts.append(np.interp(clock, motion.start + np.arange(len(halting)) / RATE, halting))
    total = np.zeros(frames)
    for part in parts:
        total += (part - part.mean()) / part.std() if part.std() > 1e-6 else 0.0
    deviation = total.std()
    return total / deviation if deviation > 1e-6 else total


def _estimate_period(activation: NDArray[np.float64]) -> tuple[float, float]:
    """The beat period in seconds, and the autocorrelation at one or two of them, in [-1, 1]."""
    size = len(activation)
    spectrum = np.fft.rfft(activation, 2 * size)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)))[:size]
    # Of a lag of most of the clip little is known: it is not blown up all the way.
    overlap = np.maximum(1 - np.arange(size) / size, 0.3)
    correlation = correlation / (correlation[0] + 1e-9) / overlap
    count = round(math.log2(MAX_BPM / MIN_BPM) * TEMPI_PER_OCTAVE)
    tempi = MIN_BPM * np.exp2(np.arange(count + 1) / TEMPI_PER_OCTAVE)
    lags = 60.0 / tempi * RATE

    def at(multiple: int) -> NDArray[np.float64]:
        return np.interp(multiple * lags, np.arange(size), correlation, right=0.0)

    likeness = sum(weight * at(multiple) for multiple, weight in LAG_WEIGHTS)
    prior = -0.5 * (np.log2(tempi / PREFERRED_BPM) / PREFERENCE_OCTAVES) ** 2
    best = int(np.argmax(likeness + 0.5 * prior))
    return float(lags[best] / RATE), float(max(at(1)[best], at(2)[best]))


def _estimate_metre(accents: NDArray[np.float64]) -> tuple[int, int]:
    """Beats a bar, 3 or 4, and which beat is the first downbeat, from (N,) weights of the beats."""
    standard = (accents - accents.mean()) / (accents.std() + 1e-9)
    best = {}
    for metre in (3, 4):
        scores = [
            standard[place::metre].sum() / math.sqrt(len(standard[place::metre]) or 1)
            for place in range(metre)
        ]
        best[metre] = (max(scores), int(np.argmax(scores)))
    metre = 3 if best[3][0] > best[4][0] + TRIPLE_METRE_MARGIN else 4
    return metre, best[metre][1]

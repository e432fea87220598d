"""Estimation of tempo and grid from a motion without its music [O].

Retrieval is also reported with each side on its own grid, so that the grid reveals nothing of the music to
the motion tower. The tempo is estimated from the autocorrelation of touch-downs and halts, and beats are
decoded as in audio. Downbeats are a guess from the distribution of weights; the phase rotation does not
depend on them.
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
"""Sample rate of the activation in Hz."""

PULSE_WIDTH_SECONDS = 0.04
"""Standard deviation of the Gaussian that represents a touch-down."""

MIN_BPM, MAX_BPM, TEMPI_PER_OCTAVE = 50.0, 200.0, 48
"""Range of candidate tempi, and their number per octave."""

PREFERRED_BPM, PREFERENCE_OCTAVES = 115.0, 0.7
"""Mean and standard deviation of the tempo prior, which selects the metrical level of the beat."""

LAG_WEIGHTS = ((1, 1.0), (2, 1.0), (4, 0.5))
"""Lags of the autocorrelation in beats, and their weights."""

NOISE_CORRELATION = 1.1
"""b in b / √seconds, the 95 % quantile of the autocorrelation of steps at random intervals, for motions of 4
s to 60 s."""

CERTAIN_CORRELATION = 0.6
"""Autocorrelation from which on the confidence is 1."""

TRIPLE_METRE_MARGIN = 1.0
"""Bars of three must be better than bars of four by this many standard errors."""


def motion_grid(motion: Motion, duration: float) -> Grid:
    """Estimate beats and bars of a motion.

    Args:
        motion: on the clip's clock.
        duration: length of the clip in seconds, above 0; it begins at 0.

    Returns:
        A grid whose confidence depends on the autocorrelation of the motion; the downbeat confidence is 0. If
        the autocorrelation is not above that of random steps,
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
    accents = np.array([activation[max(0, frame - 5) : frame + 6].max() for frame in frames])
    metre, downbeat = _estimate_metre(accents)
    positions = (np.arange(len(beats)) - downbeat) % metre + 1
    return Grid(beats, positions, metre, confidence, downbeat_confidence=0.0)


def _activation(motion: Motion, duration: float) -> NDArray[np.float64]:
    """(F,) activation of touch-downs and halts at ``RATE``, standardised; 0 if there are none."""
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
    """Return the beat period in seconds, and the maximum autocorrelation at one and two beats, in [-1, 1]."""
    size = len(activation)
    spectrum = np.fft.rfft(activation, 2 * size)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)))[:size]
    # The correction for overlap is limited, because long lags are unreliable.
    overlap = np.maximum(1 - np.arange(size) / size, 0.3)
    correlation = correlation / (correlation[0] + 1e-9) / overlap
    count = round(math.log2(MAX_BPM / MIN_BPM) * TEMPI_PER_OCTAVE)
    tempi = MIN_BPM * np.exp2(np.arange(count + 1) / TEMPI_PER_OCTAVE)
    lags = 60.0 / tempi * RATE

    def correlation_at(beats: int) -> NDArray[np.float64]:
        return np.interp(beats * lags, np.arange(size), correlation, right=0.0)

    score = sum(weight * correlation_at(beats) for beats, weight in LAG_WEIGHTS)
    prior = -0.5 * (np.log2(tempi / PREFERRED_BPM) / PREFERENCE_OCTAVES) ** 2
    best = int(np.argmax(score + 0.5 * prior))
    return float(lags[best] / RATE), float(max(correlation_at(1)[best], correlation_at(2)[best]))


def _estimate_metre(accents: NDArray[np.float64]) -> tuple[int, int]:
    """Estimate the metre, 3 or 4, and the index of the first downbeat from (N,) accents of the beats."""
    standard = (accents - accents.mean()) / (accents.std() + 1e-9)
    best = {}
    for metre in (3, 4):
        scores = [
            standard[first::metre].sum() / math.sqrt(len(standard[first::metre]) or 1)
            for first in range(metre)
        ]
        best[metre] = (max(scores), int(np.argmax(scores)))
    metre = 3 if best[3][0] > best[4][0] + TRIPLE_METRE_MARGIN else 4
    return metre, best[metre][1]

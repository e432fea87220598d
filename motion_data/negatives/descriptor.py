"""Descriptors of clips for drawing negatives, and tests whether a time-warped motion differs from it [O].

A periodic motion, shifted by its period, is unchanged, and so is a motion at rest. Such candidates are no
negatives. The features that are compared are those related to the music: the pulses of all limbs, and the
speed of the whole body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.rhythm.accent_mass import accent_mass, circular_emd, pulse_weights
from motion_data.rhythm.speed import smoothed_speed
from motionbeat_upstream.tracking.grid import Grid, time_to_beats

RATE = 60.0
"""Sample rate of the rhythm in Hz."""

PULSE_WIDTH_SECONDS = 0.04
"""Standard deviation of the Gaussian that represents a pulse: wide enough for human timing."""

BINS_PER_BEAT = 4
"""Phase bins of the accents."""


@dataclass(frozen=True)
class Descriptor:
    """Outline of a clip's music and motion; times are seconds from its start."""

    piece: str
    take: str
    grid: Grid
    duration: float
    rhythm: NDArray[np.float64]
    """(2, Q) at ``RATE``: strength of the pulses of all limbs, relative to their mean, and mean speed of the
    joints in m/s; 0 without pulses or joints. Left and right are added, since music does not distinguish
    them."""
    motion_span: tuple[float, float]
    """Start and end of the known motion in seconds."""
    accents: NDArray[np.float64]
    """(4 · metre,) share of the pulses' weight at each bar phase; 0 without pulses."""

    @property
    def beats(self) -> tuple[float, float]:
        """Fractional beat indices of the grid at the clip's start and end."""
        first, last = time_to_beats(self.grid, np.array([0.0, self.duration]))
        return float(first), float(last)


def describe(piece: str, take: str, motion: Motion, grid: Grid, duration: float) -> Descriptor:
    """Compute the descriptor of a clip.

    Args:
        piece: name of the music.
        take: name of the performance.
        motion: on the clip's clock; it may be longer than the clip.
        grid: grid of the music.
        duration: length of the clip in seconds.
    """
    weights = pulse_weights(motion)
    times = np.concatenate([np.empty(0), *motion.pulses.values()])
    weight = np.concatenate([np.empty(0), *(weights[limb] for limb in motion.pulses)])
    count = max(2, int(np.floor(duration * RATE)) + 1)
    clock = np.arange(count) / RATE
    rhythm = np.zeros((2, count))
    if len(times):
        bumps = np.exp(-0.5 * ((clock[:, None] - times) / PULSE_WIDTH_SECONDS) ** 2)
        rhythm[0] = bumps @ (weight / weight.mean())
    if motion.joints.shape[1]:
        rhythm[1] = np.interp(clock, motion.times, smoothed_speed(motion.joints, motion.fps).mean(axis=1))
    bins = BINS_PER_BEAT * grid.metre
    mass = accent_mass(times, weight, grid, bins, duration).sum(axis=0)
    accents = mass / mass.sum() if mass.sum() else mass
    motion_span = (motion.start, motion.start + motion.seconds)
    return Descriptor(piece, take, grid, duration, rhythm, motion_span, accents)


MIN_RHYTHM_DIFFERENCE = 0.2
"""Rhythms with a smaller difference count as the same. A copy has 0, independent rhythms have 1. Steps that a
human repeats with 15 ms of jitter have about 0.1."""

MIN_ACCENT_DIFFERENCE_BEATS = 0.15
"""Two distributions of accents with a smaller earth mover's distance count as the same."""

FLAT_DEVIATIONS = (0.01, 0.02)
"""Standard deviations of pulses (relative to their mean) and speed (m/s) below which there is no rhythm."""

EDGE_SECONDS = 0.15
"""Both ends of a clip are excluded from comparison, because pulses just outside affect them."""

MIN_OVERLAP_BEATS = 2.0
"""Two rhythms must overlap by at least this many beats to be compared."""


def rhythm_difference(descriptor: Descriptor, source_times: NDArray[np.float64]) -> float:
    """Compute the difference between a rhythm and its time-warped version.

    Args:
        descriptor: descriptor of the motion.
        source_times: (Q,) times that the samples of ``descriptor.rhythm`` are taken from; times outside of
            the clip are ignored.

    Returns:
        The mean squared difference, divided by the sum of both variances: the maximum of those of pulses and
        speed. 0 if there is no rhythm, or if the overlap is shorter than ``MIN_OVERLAP_BEATS``.
    """
    samples = descriptor.rhythm.shape[1]
    last = (samples - 1) / RATE - EDGE_SECONDS
    clock = np.arange(samples) / RATE
    inside = (np.minimum(source_times, clock) >= EDGE_SECONDS) & (np.maximum(source_times, clock) <= last)
    if inside.sum() < MIN_OVERLAP_BEATS * 60 / descriptor.grid.bpm * RATE:
        return 0.0
    # Warping time scales the speed of the body by the slope of the warp.
    scales = np.stack([np.ones(samples), np.gradient(source_times) * RATE])[:, inside]
    differences = [0.0]
    for row, scale, flat in zip(descriptor.rhythm, scales, FLAT_DEVIATIONS, strict=True):
        original = row[inside]
        warped = scale * np.interp(source_times[inside] * RATE, np.arange(samples), row)
        if original.std() < flat:
            continue
        mean = (original.mean() + warped.mean()) / 2
        variances = np.square(original - mean).mean() + np.square(warped - mean).mean()
        differences.append(float(np.square(original - warped).mean() / max(variances, flat**2)))
    return max(differences)


def accent_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the circular earth mover's distance of two accent distributions in beats; 0 if one is empty.

    Args:
        first, second: (4 · metre,) as in :class:`~motion_data.negatives.descriptor.Descriptor`.
    """
    if not first.sum() or not second.sum():
        return 0.0
    bars = circular_emd(torch.from_numpy(first), torch.from_numpy(second)).item()
    return bars * len(first) / BINS_PER_BEAT

"""What has to be known of a clip to choose its negatives, and whether a bent motion still is the same [O].

A motion that repeats exactly after some time, moved by that time, is the same motion; so is one that stands
still, whatever is done to it. Such would-be negatives are left out. What is compared is what music can tell:
the pulses of all limbs, and the speed of the whole body.
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
"""Samples a second of the rhythm."""

PULSE_WIDTH_SECONDS = 0.04
"""Standard deviation in seconds of the bump that stands for a pulse: wide enough for human timing."""

BINS_PER_BEAT = 4
"""Phase bins of the accents."""


@dataclass(frozen=True)
class Descriptor:
    """A clip's music and motion in outline; times are seconds from its start."""

    piece: str
    take: str
    grid: Grid
    duration: float
    rhythm: NDArray[np.float64]
    """(2, Q) at ``RATE``: strength of the pulses of all limbs, 1 at a mean pulse, and mean speed of the
    joints in m/s; 0 without pulses or joints. Left and right are not told apart: music does not."""
    motion_span: tuple[float, float]
    """Seconds from which on, and until which, the motion is known."""
    accents: NDArray[np.float64]
    """(4 · metre,) share of the pulses' weight at each phase of the bar; 0 without a pulse."""

    @property
    def beats(self) -> tuple[float, float]:
        """Beats of the grid at the clip's two ends."""
        first, last = time_to_beats(self.grid, np.array([0.0, self.duration]))
        return float(first), float(last)


def describe(piece: str, take: str, motion: Motion, grid: Grid, duration: float) -> Descriptor:
    """Outline a clip.

    Args:
        piece: the music's name.
        take: the performance's.
        motion: on the clip's clock; it may reach beyond the clip.
        grid: of the music.
        duration: of the clip in seconds.
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
"""Two rhythms that differ by less are one: 0 is a copy, 1 are two that have nothing to do with each other.
A human who repeats a step with 15 ms of jitter differs by about 0.1."""

MIN_ACCENT_DIFFERENCE_BEATS = 0.15
"""Beats that mass has to move, on average, below which two spreads of accents over the bar are one."""

FLAT_DEVIATIONS = (0.01, 0.02)
"""Standard deviation of pulses (1 at a mean pulse) and of speed (m/s) below which there is no rhythm."""

EDGE_SECONDS = 0.15
"""Seconds at either end of a clip that are not compared: a pulse just outside would reach into them."""

MIN_OVERLAP_BEATS = 2.0
"""Beats that two rhythms must have in common; with less, nobody knows that they differ."""


def rhythm_difference(descriptor: Descriptor, seen: NDArray[np.float64]) -> float:
    """How much the rhythm changes when at each sample another moment of it is seen.

    Args:
        descriptor: of the motion.
        seen: (Q,) seconds seen at the samples of ``descriptor.rhythm``; those outside do not count.

    Returns:
        The larger of the two, for pulses and for speed: the mean squared difference over the sum
        of both variances. 0 where there is no rhythm at all, and so nothing to change, and where less than
        ``MIN_OVERLAP_BEATS`` can be compared.
    """
    samples = descriptor.rhythm.shape[1]
    last = (samples - 1) / RATE - EDGE_SECONDS
    clock = np.arange(samples) / RATE
    inside = (np.minimum(seen, clock) >= EDGE_SECONDS) & (np.maximum(seen, clock) <= last)
    if inside.sum() < MIN_OVERLAP_BEATS * 60 / descriptor.grid.bpm * RATE:
        return 0.0
    # What is seen faster or slower than it was, has its speed changed by as much.
    pace = np.stack([np.ones(samples), np.gradient(seen) * RATE])[:, inside]
    differences = [0.0]
    for row, scale, flat in zip(descriptor.rhythm, pace, FLAT_DEVIATIONS, strict=True):
        here, there = row[inside], scale * np.interp(seen[inside] * RATE, np.arange(samples), row)
        if here.std() < flat:
            continue
        middle = (here.mean() + there.mean()) / 2
        spread = np.square(here - middle).mean() + np.square(there - middle).mean()
        differences.append(float(np.square(here - there).mean() / max(spread, flat**2)))
    return max(differences)


def accent_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Beats that the accents' mass has to move for one bar to become the other; 0 if one has none.

    Args:
        one, other: (4 · metre,) as in :class:`~motion_data.negatives.descriptor.Descriptor`.
    """
    if not one.sum() or not other.sum():
        return 0.0
    bars = circular_emd(torch.from_numpy(one), torch.from_numpy(other)).item()
    return bars * len(one) / BINS_PER_BEAT

"""What has to be known of a clip to choose its negatives: little enough to keep for a whole batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.rhythm.accent_mass import accent_mass, pulse_weights
from motion_data.rhythm.beat_clock import beats_at
from motion_data.rhythm.speed import smoothed_speed
from motionbeat_upstream.beats.grid import Grid

RATE = 60.0
"""Samples a second of the rhythm."""

PULSE_WIDTH = 0.04
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
    reach: tuple[float, float]
    """Seconds from which on, and until which, the motion is known."""
    accents: NDArray[np.float64]
    """(4 · metre,) share of the pulses' weight at each phase of the bar; 0 without a pulse."""

    @property
    def beats(self) -> tuple[float, float]:
        """Beats of the grid at the clip's two ends."""
        first, last = beats_at(self.grid, np.array([0.0, self.duration]))
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
        bumps = np.exp(-0.5 * ((clock[:, None] - times) / PULSE_WIDTH) ** 2)
        rhythm[0] = bumps @ (weight / weight.mean())
    if motion.joints.shape[1]:
        rhythm[1] = np.interp(clock, motion.times, smoothed_speed(motion.joints, motion.fps).mean(axis=1))
    bins = BINS_PER_BEAT * grid.metre
    mass = accent_mass(times, weight, grid, bins, duration).sum(axis=0)
    accents = mass / mass.sum() if mass.sum() else mass
    reach = (motion.start, motion.start + motion.seconds)
    return Descriptor(piece, take, grid, duration, rhythm, reach, accents)

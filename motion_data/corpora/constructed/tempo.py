"""The one map from beats to seconds that notes and grid go through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SLOWEST, FASTEST = 60.0, 190.0
"""Beats a minute that a pair's median tempo lies between."""

COURSES = ("steady", "drift", "rubato", "step", "ramp")
"""Ways in which the tempo moves: not, a little as a band's, widely as a soloist's, at once, slowly."""

COURSE_SHARES = (0.45, 0.27, 0.12, 0.08, 0.08)

KNOTS = 16
"""Knots of the map a beat."""


@dataclass(frozen=True)
class TempoMap:
    """Seconds as a function of beats: increasing, straight between its knots, going on straight outside."""

    beats: NDArray[np.float64]
    """(N,) knots, increasing."""
    seconds: NDArray[np.float64]
    """(N,) increasing."""

    def at(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Seconds at any beats."""
        beats = np.asarray(beats, dtype=np.float64)
        inner: NDArray[np.float64] = np.interp(beats, self.beats, self.seconds)
        first = (self.seconds[1] - self.seconds[0]) / (self.beats[1] - self.beats[0])
        last = (self.seconds[-1] - self.seconds[-2]) / (self.beats[-1] - self.beats[-2])
        inner += np.minimum(beats - self.beats[0], 0) * first + np.maximum(beats - self.beats[-1], 0) * last
        return inner


def tempo_map(
    bpm: float, beats: float, metre: int, course: str, zero: float, rng: np.random.Generator
) -> TempoMap:
    """A map for a piece of about ``beats`` beats.

    Args:
        bpm: the median tempo, about.
        beats: length of the map; tempi hold on after it.
        metre: beats a bar; a step in tempo falls on a bar.
        course: one of :data:`COURSES`.
        zero: the beat that stands at 0 s.
        rng: for the course's shape.
    """
    knots = np.arange(int(np.ceil(beats)) * KNOTS + 1) / KNOTS
    middle = knots[:-1] + 0.5 / KNOTS
    # Logarithm of the tempo against bpm.
    if course == "drift":
        bend = rng.uniform(0.004, 0.02) * _wander(middle, rng.uniform(6, 16), rng)
    elif course == "rubato":
        bend = rng.uniform(0.05, 0.12) * _wander(middle, rng.uniform(3, 8), rng)
    elif course == "step":
        bar = metre * max(1, round(rng.uniform(0.25, 0.75) * beats / metre))
        bend = np.log(rng.choice([0.8, 0.88, 1.12, 1.25])) * ((middle >= bar) - 0.5)
    elif course == "ramp":
        bend = np.log(rng.uniform(1.08, 1.35)) * rng.choice([-1, 1]) * (middle / beats - 0.5)
    else:
        bend = np.zeros(len(middle))
    tempo = np.clip(bpm * np.exp(bend), SLOWEST, FASTEST)
    seconds = np.concatenate([[0.0], np.cumsum(60.0 / tempo / KNOTS)])
    drawn = TempoMap(knots, seconds)
    return TempoMap(knots, seconds - drawn.at(zero))


def _wander(beats: NDArray[np.float64], period: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random curve of about unit size whose waves are about ``period`` beats long."""
    waves = rng.uniform(0.6, 1.8, 4) / period
    phases = rng.uniform(0, 2 * np.pi, 4)
    curve: NDArray[np.float64] = np.sin(2 * np.pi * waves * beats[:, None] + phases).sum(axis=1) / 2
    return curve


def swing_warp(beats: ArrayLike, ratio: float, values: int) -> NDArray[np.float64]:
    """Where a swung player puts what is written at ``beats``; beats themselves stay.

    Args:
        beats: written positions.
        ratio: share that the first of two swung values takes, in [1/2, 1).
        values: 2 where the halves of a beat swing, 4 where its quarters do.
    """
    spans = np.asarray(beats, dtype=np.float64) * (values / 2)
    whole = np.floor(spans)
    part = spans - whole
    warped = np.where(part < 0.5, part * 2 * ratio, ratio + (part - 0.5) * 2 * (1 - ratio))
    result: NDArray[np.float64] = (whole + warped) / (values / 2)
    return result

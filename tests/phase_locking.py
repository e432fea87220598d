"""Whether the pulses of a motion keep to the beats of music: phases, their concentration, and chance.

A phase is where a pulse lies between its two beats, one turn a beat. Pulses that keep to the beat,
early or late by whatever constant, have phases close together; the length of their mean vector
says how close (Mardia and Jupp, "Directional Statistics", 2000, section 2.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.dance_metrics.music_alignment import beat_alignment

Surrogate = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
"""Makes of (N,) pulses others that cannot know the beat, but are like them otherwise."""

STRETCH = (0.75, 1.33)
"""Range of factors that another tempo differs by."""

SAME_TEMPO = 0.04
"""A factor within so much of 1 is the same tempo."""


@dataclass(frozen=True)
class Locking:
    """How pulses keep to beats."""

    resultant: float
    """Length of the mean vector of the phases, in [0, 1]: 1 when all are the same."""
    phase: float
    """Mean phase in beats, in [-0.5, 0.5): above 0 the pulses come after the beat."""
    chance: float
    """Mean resultant of the surrogates."""
    p: float
    """Share of surrogates, the pulses themselves counted among them, that lock at least as well."""
    count: int
    """Pulses that lie among the beats."""


@dataclass(frozen=True)
class Lag:
    """The delay at which pulses fit beats or onsets best, and how well they fit without one."""

    seconds: float
    """Above 0 the pulses come after the beats."""
    score: float
    """:func:`~recipes.dance_metrics.music_alignment.beat_alignment` of the pulses at that lag."""
    at_zero: float
    """The same at lag 0."""
    chance: float
    """Mean of the same at lag 0, the pulses having been moved round by any amount."""
    p: float
    """Share of such moves, none counted among them, that fit at least as well as no move and no lag."""


def beat_phases(pulses: NDArray[np.float64], beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) phases in [0, 1), in beats since the beat before, of the pulses that lie among the beats.

    Args:
        pulses: (N,) seconds.
        beats: (M,) increasing seconds, M at least 2.
    """
    inside = pulses[(pulses >= beats[0]) & (pulses < beats[-1])]
    before = np.searchsorted(beats, inside, side="right") - 1
    phases: NDArray[np.float64] = (inside - beats[before]) / (beats[before + 1] - beats[before])
    return phases


def resultant(phases: NDArray[np.float64]) -> complex:
    """Mean vector of phases given in turns; 0 where there is none."""
    return complex(np.exp(2j * np.pi * phases).mean()) if len(phases) else 0j


def shuffled_intervals(pulses: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The same intervals between pulses in another order, beginning at another moment of the first one.

    Says nothing of a motion whose intervals are all alike: any order of them is the same pulses.
    """
    intervals = rng.permutation(np.diff(pulses))
    surrogate: NDArray[np.float64] = pulses[0] + np.concatenate([[0.0], np.cumsum(intervals)])
    return surrogate


def other_tempo(pulses: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The same pulses played at another tempo: faster or slower by at least ``SAME_TEMPO``."""
    while abs((factor := rng.uniform(*STRETCH)) - 1) < SAME_TEMPO:
        pass
    surrogate: NDArray[np.float64] = pulses[0] + (pulses - pulses[0]) * factor
    return surrogate


def locking(
    pulses: NDArray[np.float64],
    beats: NDArray[np.float64],
    surrogate: Surrogate = shuffled_intervals,
    surrogates: int = 1000,
    seed: int = 0,
) -> Locking:
    """How closely pulses keep to beats, and how often chance would do as well.

    Args:
        pulses: (N,) increasing seconds.
        beats: (M,) increasing seconds, M at least 2.
        surrogate: what chance is: :func:`shuffled_intervals` or :func:`other_tempo`.
        surrogates: how many of them are drawn.
        seed: of the drawing.

    Raises:
        ValueError: fewer than 2 pulses lie among the beats.
    """
    inside = pulses[(pulses >= beats[0]) & (pulses < beats[-1])]
    if len(inside) < 2:
        raise ValueError(f"{len(inside)} pulses lie among the beats; locking needs at least 2")
    mean = resultant(beat_phases(inside, beats))
    rng = np.random.default_rng(seed)
    drawn = [abs(resultant(beat_phases(surrogate(inside, rng), beats))) for _ in range(surrogates)]
    # Rounding must not tell a surrogate that is the same pulses from the pulses.
    as_good = int((np.array(drawn) >= abs(mean) - 1e-9).sum())
    phase = float(np.angle(mean) / (2 * np.pi))
    return Locking(abs(mean), phase, float(np.mean(drawn)), (1 + as_good) / (1 + surrogates), len(inside))


def best_lag(
    pulses: NDArray[np.float64],
    beats: NDArray[np.float64],
    reach: float = 0.3,
    step: float = 0.01,
    surrogates: int = 1000,
    seed: int = 0,
) -> Lag:
    """The delay, within ``reach`` seconds to either side, at which pulses and beats or onsets meet best.

    Beats a period apart fit as well at a delay of a whole period: keep ``reach`` below half of it,
    or below half the interval between onsets.

    Args:
        pulses: (N,) seconds.
        beats: (M,) increasing seconds, M at least 2.
        reach: seconds.
        step: seconds from one delay tried to the next.
        surrogates: how many random moves are drawn, each round the stretch of the beats.
        seed: of the drawing.
    """
    count = round(reach / step)
    # From 0 outwards, so that of delays that fit equally well the shortest is taken.
    lags = np.array(sorted(range(-count, count + 1), key=abs)) * step
    scores = np.array([beat_alignment(pulses - lag, beats) for lag in lags])
    best = int(scores.argmax())
    begin, length = beats[0], beats[-1] - beats[0]
    inside = pulses[(pulses >= begin) & (pulses < begin + length)] - begin
    unmoved = beat_alignment(begin + inside, beats)
    moves = np.random.default_rng(seed).uniform(0, length, surrogates)
    moved = np.array([beat_alignment(begin + (inside + move) % length, beats) for move in moves])
    as_good = int((moved >= unmoved - 1e-9).sum())
    p = (1 + as_good) / (1 + surrogates)
    return Lag(float(lags[best]), float(scores[best]), float(scores[0]), float(moved.mean()), p)

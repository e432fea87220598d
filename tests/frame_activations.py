"""Simulated beat and downbeat logits of a trained head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RATE = 50.0


@dataclass(frozen=True)
class Flaws:
    """Errors of the logits; heights and noise are in logits, times in seconds."""

    noise: float = 0.5
    missing: float = 0.0
    """Share of beats without a peak."""
    false: float = 0.0
    """Share of off-beats with a peak."""
    stray: float = 0.0
    """Peaks at random times per second."""
    jitter: float = 0.0
    no_downbeat: float = 0.0
    """Share of downbeats without a peak of the downbeat logits."""
    false_downbeat: float = 0.0
    """Share of other beats with a peak of the downbeat logits."""


MODERATE = Flaws(
    1.0, missing=0.12, false=0.15, stray=0.15, jitter=0.012, no_downbeat=0.15, false_downbeat=0.08
)
SEVERE = Flaws(1.3, missing=0.3, false=0.3, stray=0.15, jitter=0.02, no_downbeat=0.15, false_downbeat=0.08)


def positions_of(count: int, metre: int, first: int = 0) -> NDArray[np.int64]:
    """Positions in the bar of ``count`` beats; the beat of index ``first`` is a downbeat."""
    return (np.arange(count) - first) % metre + 1


def random_beats(
    bpm: float, seconds: float, draw: np.random.Generator, wander: float = 0.004
) -> NDArray[np.float64]:
    """Beat times of a tempo that varies by up to 5 % about ``bpm``."""
    times, drift = [draw.uniform(0, 60 / bpm)], 0.0
    while times[-1] < seconds:
        drift = float(np.clip(drift + draw.normal(0, wander), -0.05, 0.05))
        times.append(times[-1] + 60 / bpm * np.exp(drift))
    return np.array(times[:-1])


def logits_of(
    beats: NDArray[np.float64],
    positions: NDArray[np.int64],
    seconds: float,
    draw: np.random.Generator,
    flaws: Flaws = Flaws(),
    rate: float = RATE,
) -> tuple[Tensor, Tensor]:
    """(F,) logits of beats and of downbeats, with a bump of about three frames at each."""
    size = round(seconds * rate)
    frame = np.arange(size)
    beat = draw.normal(-3.0, flaws.noise, size)
    downbeat = draw.normal(-5.5, flaws.noise, size)

    def bump(time: float, height: float) -> NDArray[np.float64]:
        shape: NDArray[np.float64] = np.exp(-(((frame + 0.5 - time * rate) / 1.1) ** 2) / 2)
        return max(height, 0.0) * shape

    for time, position in zip(beats + draw.normal(0, 1, len(beats)) * flaws.jitter, positions, strict=True):
        if draw.random() < flaws.missing:
            continue
        height = draw.normal(5.5, 1.5)
        flawed = draw.random() < (flaws.no_downbeat if position == 1 else flaws.false_downbeat)
        beat += bump(time, height)
        downbeat += bump(time, height + draw.normal(1.0 if (position == 1) != flawed else -3.0, 1.0))
    between = (beats[1:] + beats[:-1]) / 2
    stray = draw.uniform(0, seconds, draw.poisson(flaws.stray * seconds))
    for time in [*between[draw.random(len(between)) < flaws.false], *stray]:
        beat += bump(time, draw.normal(4.0, 1.5))
    return torch.from_numpy(beat).float(), torch.from_numpy(downbeat).float()

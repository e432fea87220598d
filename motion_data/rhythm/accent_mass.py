"""Accent mass over the bar: how the weight of a motion's pulses is spread over the phases of each bar.

That bars are compared by their accents is the paper's [S]; the mass is ours [O]: each pulse weighs
as much as the limb was fast on its way down, and is shared between the two nearest phase bins, so
that the mass changes smoothly with the time of a pulse. Bars are compared by the earth mover's distance
[S EMD, O circle].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from motion_data.motion import Motion
from motion_data.rhythm.speed import resample_track, smoothed_speed
from motion_data.skeleton import FEET, HANDS
from motionbeat_upstream.tracking.grid import Grid, time_to_bars

RATE = 120.0
"""Samples a second that speeds are measured at."""

RUN_UP_SECONDS = 0.30
"""Seconds before a pulse in which the limb's top speed is its weight."""


def pulse_weights(motion: Motion) -> dict[str, NDArray[np.float64]]:
    """How fast each limb was on its way to each of its pulses.

    Returns:
        (N,) m/s for each limb with pulses: the top speed of its joints in the ``RUN_UP_SECONDS`` seconds
        before. 1 for every pulse of a limb that has no joints, as in a step chart.
    """
    weights = {}
    for limb, pulses in motion.pulses.items():
        seen = [motion.names.index(name) for name in (FEET | HANDS).get(limb, ()) if name in motion.names]
        if not seen or not len(pulses):
            weights[limb] = np.ones(len(pulses))
            continue
        speed = smoothed_speed(resample_track(motion.joints[:, seen], motion.fps, RATE), RATE).max(axis=1)
        stop = np.clip(np.rint((pulses - motion.start) * RATE).astype(np.int64) + 1, 1, len(speed))
        begin = np.maximum(stop - 1 - round(RUN_UP_SECONDS * RATE), 0)
        weights[limb] = np.array([speed[a:b].max() for a, b in zip(begin, stop, strict=True)])
    return weights


def accent_mass(
    times: NDArray[np.float64], weights: NDArray[np.float64], grid: Grid, bins: int, duration: float
) -> NDArray[np.float64]:
    """Distribution of the pulses' weight over each bar.

    Args:
        times: (N,) seconds of the pulses of all limbs; those outside the clip do not count.
        weights: (N,) at least 0.
        grid: beats and bars of the clip.
        bins: phase bins a bar; bin 0 is centred on the downbeat.
        duration: of the clip in seconds; it begins at 0.

    Returns:
        (bars, bins), the first row the bar that the clip begins in, as
        :func:`~motionbeat_upstream.tracking.bar_profile.bar_profile` has them. A row sums to 1, or to 0 where
        a bar has no pulse.
    """
    inside = (times >= 0) & (times < duration)
    first, last, *turns = time_to_bars(grid, np.concatenate([[0.0, duration], times[inside]]))
    opening = int(np.floor(first * bins + 0.5)) // bins
    bars = int(np.floor(last * bins + 0.5)) // bins - opening + 1
    place = (np.array(turns) - opening) * bins
    below = np.floor(place).astype(np.int64)
    share = place - below
    mass = np.zeros(bars * bins)
    for cell, part in ((below, 1 - share), (below + 1, share)):
        # The half bin at either end of the clip lies in a bar of which nothing else is heard.
        np.add.at(mass, np.clip(cell, 0, len(mass) - 1), weights[inside] * part)
    mass = mass.reshape(bars, bins)
    total = mass.sum(axis=1, keepdims=True)
    return np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)


TINY = 1e-8


def circular_emd(first: Tensor, second: Tensor) -> Tensor:
    """How far mass must be moved along the circle of a bar to make one distribution the other.

    On a line it is the L1 distance of the cumulative sums; on a circle mass may also go the other way
    round, which takes the median off their difference (Rabin, Delon and Gousseau 2011).

    Args:
        first, second: (..., S) accent mass of S places of the bar, at least 0. Each is normalised to a
            sum of 1; a bar without mass counts as evenly spread.

    Returns:
        (...) in bars: 0 for equal distributions, 0.5 for two accents on opposite sides.
    """
    size = first.shape[-1]
    difference = _normalise(first) - _normalise(second)
    flow = difference.cumsum(-1)
    return (flow - flow.median(-1, keepdim=True).values).abs().sum(-1) / size


def _normalise(mass: Tensor) -> Tensor:
    mass = mass.clamp(min=0) + TINY
    return mass / mass.sum(-1, keepdim=True)

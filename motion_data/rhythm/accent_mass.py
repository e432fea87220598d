"""Accent mass: the distribution of the weights of a motion's pulses over the phases of each bar.

The comparison of bars by their accents is from the paper [S]; the mass is ours [O]. The weight of a pulse is
the speed of the limb before it, and is shared between the two nearest phase bins, so that the mass is a
continuous function of the pulse's time. Bars are compared by the earth mover's distance [S EMD, O circle].
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
"""Sample rate of speeds in Hz."""

RUN_UP_SECONDS = 0.30
"""The weight of a pulse is the limb's maximum speed in this interval before it."""


def pulse_weights(motion: Motion) -> dict[str, NDArray[np.float64]]:
    """Compute the weight of each pulse of each limb.

    Returns:
        (N,) m/s for each limb with pulses: the maximum speed of its joints in the ``RUN_UP_SECONDS`` before.
        1 for all pulses of a limb without joints, as in a step chart.
    """
    weights = {}
    for limb, pulses in motion.pulses.items():
        columns = [motion.names.index(name) for name in (FEET | HANDS).get(limb, ()) if name in motion.names]
        if not columns or not len(pulses):
            weights[limb] = np.ones(len(pulses))
            continue
        speed = smoothed_speed(resample_track(motion.joints[:, columns], motion.fps, RATE), RATE).max(axis=1)
        stop = np.clip(np.rint((pulses - motion.start) * RATE).astype(np.int64) + 1, 1, len(speed))
        begin = np.maximum(stop - 1 - round(RUN_UP_SECONDS * RATE), 0)
        weights[limb] = np.array([speed[a:b].max() for a, b in zip(begin, stop, strict=True)])
    return weights


def accent_mass(
    times: NDArray[np.float64], weights: NDArray[np.float64], grid: Grid, bins: int, duration: float
) -> NDArray[np.float64]:
    """Compute the distribution of the pulses' weight over each bar.

    Args:
        times: (N,) pulses of all limbs in seconds; those outside of the clip are ignored.
        weights: (N,) at least 0.
        grid: beats and bars of the clip.
        bins: number of phase bins per bar; bin 0 is centred on the downbeat.
        duration: length of the clip in seconds; it begins at 0.

    Returns:
        (bars, bins); the first row is the bar in which the clip begins, as in
        :func:`~motionbeat_upstream.tracking.bar_profile.bar_profile`. A row sums to 1, or to 0 for a bar
        without pulses.
    """
    inside = (times >= 0) & (times < duration)
    first, last, *turns = time_to_bars(grid, np.concatenate([[0.0, duration], times[inside]]))
    opening = int(np.floor(first * bins + 0.5)) // bins
    bars = int(np.floor(last * bins + 0.5)) // bins - opening + 1
    position = (np.array(turns) - opening) * bins
    lower = np.floor(position).astype(np.int64)
    fraction = position - lower
    mass = np.zeros(bars * bins)
    for index, share in ((lower, 1 - fraction), (lower + 1, fraction)):
        # The half bin at either end of the clip would belong to another bar.
        np.add.at(mass, np.clip(index, 0, len(mass) - 1), weights[inside] * share)
    mass = mass.reshape(bars, bins)
    total = mass.sum(axis=1, keepdims=True)
    return np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)


TINY = 1e-8


def circular_emd(first: Tensor, second: Tensor) -> Tensor:
    """Compute the earth mover's distance of two distributions on the circle of a bar.

    On a line, it is the L1 distance of the cumulative sums. On a circle, the median of their difference is
    subtracted (Rabin, Delon and Gousseau 2011).

    Args:
        first, second: (..., S) accent mass at S bar phases, at least 0. Each is normalised to a sum of 1; a
            bar without mass counts as uniform.

    Returns:
        (...) in bars: 0 for equal distributions, 0.5 for two accents at opposite phases.
    """
    size = first.shape[-1]
    difference = _normalise(first) - _normalise(second)
    flow = difference.cumsum(-1)
    return (flow - flow.median(-1, keepdim=True).values).abs().sum(-1) / size


def _normalise(mass: Tensor) -> Tensor:
    mass = mass.clamp(min=0) + TINY
    return mass / mass.sum(-1, keepdim=True)

"""The 72 kinetic features of a dance: how much each joint moves along the floor, up and down, and in jerks.

Source: Onuma, Faloutsos and Hodgins, "FMDistance: a fast and effective distance function for motion capture
data", Eurographics 2008, as facebookresearch/fairmotion and google/aistplusplus_api (features/kinetic.py
and utils.py) compute it. The published code differs from what the names say, and is followed: the "kinetic
energies" are squared speeds without mass or ½, and "energy expenditure" is the size of the mean
acceleration, which is no energy. Velocity and acceleration are means over windows of five frames, cut off
at both ends of the dance.

Published codes hard-wire the frame time, 1/60 s or in CoheDancers 1/30 s, whatever the motion's rate.
fairmotion counts positions from the root, the others in the world, as here. Here every dance is brought to
60 frames a second first, which makes windows and seconds those of AIST++ at any rate [O].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.rhythm.speed import sampled
from recipes.dance_metrics.dance import check_joints

RATE = 60.0
"""Frames a second of AIST++, at which the published code counts."""

REACH = 2
"""Frames to either side in a window."""

UP, ALONG = 1, [0, 2]
"""Axes: y is up."""


def kinetic_features(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Squared horizontal and vertical speed in (m/s)² and acceleration in m/s² of each joint, over time.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames a second.

    Returns:
        (72,): the three of the first joint, those of the second, ...

    Raises:
        DataError: joints that are no dance.
    """
    check_joints(joints, fps)
    track = sampled(joints, fps, RATE)
    last = len(track) - 1
    frame = np.arange(1, last + 1)
    first = np.maximum(frame - REACH, 1)
    # The steps of a window add up to the way from its first frame's predecessor to its last frame.
    stop = np.minimum(frame + REACH, last)
    velocity = (track[stop] - track[first - 1]) * RATE / (stop - first + 1)[:, None, None]
    # Likewise the changes of step; the last frame has none.
    step = np.diff(track, axis=0)
    stop = np.minimum(frame + REACH, last - 1)
    acceleration = (step[stop] - step[first - 1]) * RATE**2 / (stop - first + 1)[:, None, None]
    features: NDArray[np.float64] = np.stack(
        [
            (velocity[..., ALONG] ** 2).sum(axis=2).mean(axis=0),
            (velocity[..., UP] ** 2).mean(axis=0),
            np.linalg.norm(acceleration, axis=2).mean(axis=0),
        ],
        axis=1,
    ).reshape(-1)
    return features

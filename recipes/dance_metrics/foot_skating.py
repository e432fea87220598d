"""Whether feet slide while they stand on the floor.

Source: Karunratanakul et al., "Guided Motion Diffusion for Controllable Human Motion Synthesis", ICCV 2023,
and the code beside it, korrawe/guided-motion-diffusion, data_loaders/humanml/utils/metrics.py: the share of
frames in which a toe within 5 cm of the floor goes faster along it than 2.5 cm a frame at 20 frames a
second, 0.5 m/s, in this frame and in the mean over five. There the floor is at y = 0; here it is found, as
bodies of AIST++ stand anywhere [O].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from motion_data.rhythm.contacts import FLOOR_SHARE
from motion_data.rhythm.speed import sampled
from recipes.dance_metrics.joints import SMPL_INDEX, check_joints

RATE = 20.0
"""Frames a second of the published code."""

LOW = 0.05
"""Metres above the floor below which a toe stands on it, in both frames of a step."""

FAST = 0.5
"""m/s along the floor above which it skates."""

WINDOW = 5
"""Frames whose mean speed must be too fast as well; beyond both ends a foot is at rest."""

TOES = [SMPL_INDEX["left_foot"], SMPL_INDEX["right_foot"]]


@dataclass(frozen=True)
class FootSkating:
    """How much the feet of one dance skate."""

    ratio: float
    """Share of the frames in which at least one foot skates, in [0, 1]."""
    speed: float
    """Mean speed along the floor of a foot that stands, in m/s; NaN where none ever does."""


def foot_skating(joints: NDArray[np.floating[Any]], fps: float, floor: float | None = None) -> FootSkating:
    """Skating of both feet.

    Args:
        joints: (T, 24, 3) in metres, y up. fps: frames a second; brought to 20, those of the published
        code. floor: height of a toe that stands. Where not given, the lower toe's 5th percentile over the
        dance [O].

    Raises:
        DataError: joints that are no dance.
    """
    check_joints(joints, fps)
    toes = sampled(joints, fps, RATE)[:, TOES]
    if floor is None:
        floor = float(np.percentile(toes[..., 1].min(axis=1), FLOOR_SHARE))
    down = toes[..., 1] - floor < LOW
    stands = down[1:] & down[:-1]
    speed = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=2) * RATE
    steady = uniform_filter1d(speed, WINDOW, axis=0, mode="constant")
    skates = stands & (speed > FAST) & (steady > FAST)
    mean = float(speed[stands].mean()) if stands.any() else float("nan")
    return FootSkating(float(skates.any(axis=1).mean()), mean)

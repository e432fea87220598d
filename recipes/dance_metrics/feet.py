"""Whether feet slide while they stand on the floor, and whether a body is moved by its feet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from motion_data.rhythm.contacts import FLOOR_PERCENTILE
from motion_data.rhythm.speed import resample_track
from recipes.dance_metrics.dance import SMPL_INDEX

SKATING_RATE = 20.0
"""Frames a second of the published code of skating."""

LOW = 0.05
"""Metres above the floor below which a toe stands on it, in both frames of a step."""

FAST = 0.5
"""m/s along the floor above which it skates."""

WINDOW = 5
"""Frames whose mean speed must be too fast as well; beyond both ends a foot is at rest."""

TOES = [SMPL_INDEX["left_foot"], SMPL_INDEX["right_foot"]]


def foot_skating(
    joints: NDArray[np.floating[Any]], fps: float, floor: float | None = None
) -> tuple[float, float]:
    """Skating of both feet.

    Source: Karunratanakul et al., "Guided Motion Diffusion for Controllable Human Motion Synthesis", ICCV
    2023, and the code beside it, korrawe/guided-motion-diffusion, data_loaders/humanml/utils/metrics.py: the
    share of frames in which a toe within 5 cm of the floor goes faster along it than 2.5 cm a frame at 20
    frames a second, 0.5 m/s, in this frame and in the mean over five. There the floor is at y = 0; here it
    is found, as bodies of AIST++ stand anywhere [O].

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames a second; brought to 20, those of the published code.
        floor: height of a toe that stands. Where not given, the lower toe's 5th percentile over the dance
            [O].

    Returns:
        The share of the frames in which at least one foot skates, in [0, 1]; and the mean speed along the
        floor of a foot that stands, in m/s, NaN where none ever does.
    """
    toes = resample_track(joints, fps, SKATING_RATE)[:, TOES]
    if floor is None:
        floor = float(np.percentile(toes[..., 1].min(axis=1), FLOOR_PERCENTILE))
    down = toes[..., 1] - floor < LOW
    stands = down[1:] & down[:-1]
    speed = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=2) * SKATING_RATE
    steady = uniform_filter1d(speed, WINDOW, axis=0, mode="constant")
    skates = stands & (speed > FAST) & (steady > FAST)
    mean = float(speed[stands].mean()) if stands.any() else float("nan")
    return float(skates.any(axis=1).mean()), mean


PFC_RATE = 30.0
"""Frames a second of EDGE, whose code counts a foot's way in metres a frame."""

PFC_SCALE = 10_000.0
"""What the published figures are multiplied by."""

LEFT, RIGHT = ([SMPL_INDEX[f"{side}_ankle"], SMPL_INDEX[f"{side}_foot"]] for side in ("left", "right"))


def physical_foot_contact(joints: NDArray[np.floating[Any]], fps: float) -> float:
    """PFC, at least 0; less is more plausible: what speeds up while both feet slide has nothing to push from.

    A body that never speeds up has 0.

    Source: Tseng, Castellano and Liu, "EDGE: Editable Dance Generation From Music", CVPR 2023, and the code
    beside it, Stanford-TML/EDGE, eval/eval_pfc.py, which is followed: the mean over time of the root's
    acceleration, as a share of its greatest in the dance, times the way a frame of the left foot and of the
    right. Acceleration downwards counts as 0; a foot goes along the floor as the slower of its ankle and
    toe. The paper writes the speeds of the feet and the acceleration of the centre of mass; the code takes
    no speed but metres a frame at 30 frames a second, and the root. Its bodies are z up, these y up. At
    another rate a dance is brought to 30.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames a second.
    """
    track = resample_track(joints, fps, PFC_RATE)
    force = np.diff(track[:, SMPL_INDEX["pelvis"]], n=2, axis=0)
    force[:, 1] = np.maximum(force[:, 1], 0)
    acceleration = np.linalg.norm(force, axis=1)
    greatest = acceleration.max()
    if greatest == 0:
        return 0.0
    way = np.linalg.norm(np.diff(track[1:][..., [0, 2]], axis=0), axis=2)
    left, right = way[:, LEFT].min(axis=1), way[:, RIGHT].min(axis=1)
    return float((left * right * acceleration / greatest).mean() * PFC_SCALE)

"""Whether a body is moved by its feet: what speeds up while both feet slide has nothing to push from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.rhythm.speed import sampled
from recipes.dance_metrics.joints import SMPL_INDEX, check_joints

RATE = 30.0
"""Frames a second of EDGE, whose code counts a foot's way in metres a frame."""

SCALE = 10_000.0
"""What the published figures are multiplied by."""

LEFT, RIGHT = ([SMPL_INDEX[f"{side}_ankle"], SMPL_INDEX[f"{side}_foot"]] for side in ("left", "right"))


def physical_foot_contact(joints: NDArray[np.floating[Any]], fps: float) -> float:
    """PFC, at least 0; less is more plausible, and a body that never speeds up has 0.

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

    Raises:
        DataError: joints that are no dance.
    """
    check_joints(joints, fps)
    track = sampled(joints, fps, RATE)
    force = np.diff(track[:, SMPL_INDEX["pelvis"]], n=2, axis=0)
    force[:, 1] = np.maximum(force[:, 1], 0)
    acceleration = np.linalg.norm(force, axis=1)
    greatest = acceleration.max()
    if greatest == 0:
        return 0.0
    way = np.linalg.norm(np.diff(track[1:][..., [0, 2]], axis=0), axis=2)
    left, right = way[:, LEFT].min(axis=1), way[:, RIGHT].min(axis=1)
    return float((left * right * acceleration / greatest).mean() * SCALE)

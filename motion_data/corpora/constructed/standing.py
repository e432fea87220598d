"""Motion of a pair without music: a body that stands [O]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from motion_data.corpora.constructed.figure import Foot, Posture, draw_body, pose_joints, rotation_matrices
from motion_data.corpora.constructed.footfalls import STANCE_METRES
from motion_data.corpora.constructed.step_patterns import PATTERNS
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS

Array = NDArray[np.float64]

STANDING = "standing"
"""Name of this motion among the dances."""


def stand(seconds: float, rng: np.random.Generator, fps: float = 60.0) -> Motion:
    """Stand on both feet and sway slightly, without a rhythm.

    Args:
        seconds: length.
        rng: for body and swaying.
        fps: frames per second.

    Returns:
        22 joints in metres, y up, floor at 0; no touch-downs.
    """
    frames = round(seconds * fps)
    body = draw_body(rng)
    scale = body.height / 1.70

    def sway(size: float) -> Array:
        slow: Array = gaussian_filter1d(rng.normal(size=frames + 600), fps, mode="wrap")[300:-300]
        swaying: Array = size * slow / slow.std()
        return swaying

    still = np.zeros(frames)
    feet = [
        Foot(
            np.stack([still + side * STANCE_METRES * scale, still + body.ball, still], -1),
            still + side * 0.15,
            still,
        )
        for side in (1.0, -1.0)
    ]
    height = body.ankle + 0.97 * body.leg + body.hip_drop
    pelvis = np.stack([sway(0.012), still + height, sway(0.01)], -1)
    turns = [
        rotation_matrices(sway(0.03), sway(0.02) + lean, sway(0.015)) for lean in (0.02, 0.04, 0.03, 0.05)
    ]
    hanging = PATTERNS[4]["box"].arms.rest
    arms = [np.radians(np.array(hanging) + np.stack([sway(2.0) for _ in hanging], -1)) for _ in feet]
    posture = Posture(pelvis, turns[0], turns[1], turns[2], turns[3], (arms[0], arms[1]))
    pulses = {limb: np.zeros(0) for limb in ("left_foot", "right_foot")}
    return Motion(fps, JOINTS, pose_joints(body, (feet[0], feet[1]), posture), 0.0, None, pulses)

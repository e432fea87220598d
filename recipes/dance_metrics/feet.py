"""Foot skating and physical foot contact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from motion_data.rhythm.contacts import FLOOR_PERCENTILE
from motion_data.rhythm.speed import resample_track
from recipes.dance_metrics.dance import SMPL_INDEX

SKATING_RATE = 20.0
"""Frames per second of the published code of skating."""

CONTACT_HEIGHT = 0.05
"""Height above the floor in metres below which a toe is in contact, in both frames of a step."""

SKATING_SPEED = 0.5
"""Horizontal speed in m/s above which a toe in contact skates."""

SPEED_WINDOW = 5
"""Frames over which the mean speed must exceed the threshold as well; it is 0 beyond the dance."""

TOES = [SMPL_INDEX["left_foot"], SMPL_INDEX["right_foot"]]


def foot_skating(
    joints: NDArray[np.floating[Any]], fps: float, floor: float | None = None
) -> tuple[float, float]:
    """Foot skating of a dance.

    Source: Karunratanakul et al., "Guided Motion Diffusion for Controllable Human Motion Synthesis", ICCV
    2023, and its code, korrawe/guided-motion-diffusion, data_loaders/humanml/utils/metrics.py: the
    share of frames in which a toe within 5 cm of the floor moves faster than 2.5 cm per frame at 20 frames
    per second (0.5 m/s), in this frame and in the mean over five. There the floor is at y = 0; here it is
    estimated, because the height of the floor in AIST++ varies [O].

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames per second.
        floor: height of a toe in contact; by default the 5th percentile of the lower toe over the dance [O].

    Returns:
        The share of frames in which at least one foot skates, in [0, 1]; and the mean horizontal speed of
        feet in contact in m/s, NaN if there are none.
    """
    toes = resample_track(joints, fps, SKATING_RATE)[:, TOES]
    if floor is None:
        floor = float(np.percentile(toes[..., 1].min(axis=1), FLOOR_PERCENTILE))
    low = toes[..., 1] - floor < CONTACT_HEIGHT
    in_contact = low[1:] & low[:-1]
    speed = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=2) * SKATING_RATE
    smoothed = uniform_filter1d(speed, SPEED_WINDOW, axis=0, mode="constant")
    skates = in_contact & (speed > SKATING_SPEED) & (smoothed > SKATING_SPEED)
    mean = float(speed[in_contact].mean()) if in_contact.any() else float("nan")
    return float(skates.any(axis=1).mean()), mean


PFC_RATE = 30.0
"""Frames per second of EDGE, whose code uses metres per frame."""

PFC_SCALE = 10_000.0
"""Factor of the published scores."""

LEFT, RIGHT = ([SMPL_INDEX[f"{side}_ankle"], SMPL_INDEX[f"{side}_foot"]] for side in ("left", "right"))


def physical_foot_contact(joints: NDArray[np.floating[Any]], fps: float) -> float:
    """Physical foot contact (PFC), at least 0; lower is more plausible.

    It is high if the body accelerates while both feet slide; 0 for a body without acceleration.

    Source: Tseng, Castellano and Liu, "EDGE: Editable Dance Generation From Music", CVPR 2023, and its
    code, Stanford-TML/EDGE, eval/eval_pfc.py: the mean over time of the root's acceleration relative to its
    maximum, times the displacements per frame of the left and the right foot. Downward acceleration counts as
    0; the displacement of a foot is the smaller one of ankle and toe. The paper has speeds of the feet and
    the acceleration of the centre of mass instead of metres per frame at 30 frames per second and the root.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames per second.
    """
    track = resample_track(joints, fps, PFC_RATE)
    force = np.diff(track[:, SMPL_INDEX["pelvis"]], n=2, axis=0)
    force[:, 1] = np.maximum(force[:, 1], 0)
    acceleration = np.linalg.norm(force, axis=1)
    maximum = acceleration.max()
    if maximum == 0:
        return 0.0
    displacement = np.linalg.norm(np.diff(track[1:][..., [0, 2]], axis=0), axis=2)
    left, right = displacement[:, LEFT].min(axis=1), displacement[:, RIGHT].min(axis=1)
    return float((left * right * acceleration / maximum).mean() * PFC_SCALE)

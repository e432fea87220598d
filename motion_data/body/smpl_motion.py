"""Motions as parameters of SMPL, as in the pickles of AIST++ and EDGE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.safe_pickle import to_float_array
from motion_data.skeleton import JOINTS

EDGE_POSES_KEY = "full_pose"
"""Key of positions (T, 24, 3), z up, 30 frames per second, which EDGE writes in addition to AIST++'s keys."""

SMPL_KEYS = ("smpl_poses", "smpl_trans", "smpl_scaling")
"""Keys of the parameters of a motion in files of AIST++ and EDGE."""


@dataclass(frozen=True)
class SmplMotion:
    """A motion as SMPL's parameters."""

    poses: NDArray[np.float64]
    """(T, K, 3) axis times angle of each joint relative to its parent in radians, T at least 2, K at least
    22."""
    translation: NDArray[np.float64]
    """(T, 3) metres: ``smpl_trans`` divided by ``smpl_scaling``."""
    scaling: float


def parse_smpl_motion(content: Mapping[Any, Any], location: str, joints: int | None = None) -> SmplMotion:
    """Check and convert the dictionary of a pickle with ``SMPL_KEYS``.

    Args:
        content: the dictionary; without ``smpl_scaling`` it is in metres.
        location: name of the file for messages.
        joints: required number of joints; None allows any number from 22 on.

    Raises:
        DataError: keys are missing, shapes are wrong, values are not finite, or the scaling is not positive.
    """
    poses, translation, scaling = (
        to_float_array(content.get(key, 1.0), f"{location}: {key}") for key in SMPL_KEYS
    )
    frames = len(poses) if poses.ndim else 0
    posed = poses
    if poses.ndim == 2 and poses.shape[1] % 3 == 0:
        posed = poses.reshape(frames, poses.shape[1] // 3, 3)
    of_smpl = posed.ndim == 3 and posed.shape[1] >= len(JOINTS) and posed.shape[2] == 3
    of_smpl = of_smpl and joints in (None, posed.shape[1])
    if not of_smpl or translation.shape != (frames, 3) or scaling.size != 1:
        raise DataError(
            f"{location}: smpl_poses {poses.shape}, smpl_trans {translation.shape}, smpl_scaling "
            f"{scaling.shape}; expected (T, 72) or (T, 24, 3), (T, 3), (1,)"
        )
    if frames < 2:
        raise DataError(f"{location}: {frames} frame(s); a motion needs at least 2")
    for key, values in (("smpl_poses", poses), ("smpl_trans", translation)):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise DataError(
                f"{location}: {bad} of {values.size} numbers of {key} are NaN or infinite; leave it out"
            )
    if not 0 < scaling.item() < np.inf:
        raise DataError(
            f"{location}: smpl_scaling is {scaling.item():g}; expected one number above 0: correct it "
            f"(1 where smpl_trans is in metres)"
        )
    return SmplMotion(posed, translation / scaling.item(), scaling.item())

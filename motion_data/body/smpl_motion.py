"""A motion as SMPL's parameters, which AIST++ and EDGE write into pickles."""

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
"""Positions (T, 24, 3), z up, 30 frames a second, which EDGE writes beside AIST++'s keys."""

SMPL_KEYS = ("smpl_poses", "smpl_trans", "smpl_scaling")
"""What AIST++ and EDGE call the parameters of a motion."""


@dataclass(frozen=True)
class SmplMotion:
    """A motion as SMPL's parameters."""

    poses: NDArray[np.float64]
    """(T, K, 3) axis times angle of each joint against its parent in radians, T at least 2, K at least 22."""
    translation: NDArray[np.float64]
    """(T, 3) metres: ``smpl_trans`` over ``smpl_scaling``."""
    scaling: float


def parse_smpl_motion(content: Mapping[Any, Any], location: str, joints: int | None = None) -> SmplMotion:
    """The motion of a pickle's dictionary with ``SMPL_KEYS``; without ``smpl_scaling`` it is in metres.

    ``place`` names the file in messages; ``joints`` is their number, where only one will do.

    Raises:
        DataError: what is no such motion, is not finite, or has a scaling that cannot be.
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

"""The 24 joints of SMPL, which the measures of dance are defined on, and what counts as a dance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.motion import FASTEST_RATE, SLOWEST_RATE
from motion_data.skeleton import SMPL_JOINTS

SMPL_INDEX = {name: index for index, name in enumerate(SMPL_JOINTS)}

SHORTEST = 0.5
"""Seconds from the first frame to the last that a dance has at least [O]."""

THIGH = (0.1, 1.0)
"""Metres that a thigh may have; what lies outside is in another unit, or no body."""


def check_joints(joints: NDArray[np.floating[Any]], fps: float) -> None:
    """Refuse what is no dance.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames a second.

    Raises:
        DataError: another shape, NaN, a rate that cannot be, under half a second, or another unit.
    """
    if not SLOWEST_RATE <= fps <= FASTEST_RATE:
        raise DataError(
            f"{fps:g} frames a second; expected {SLOWEST_RATE:g} to {FASTEST_RATE:g}: give the true rate"
        )
    if joints.ndim != 3 or joints.shape[1:] != (len(SMPL_JOINTS), 3):
        raise DataError(f"joints of shape {joints.shape}; expected (T, 24, 3), SMPL's joints in its order")
    if (len(joints) - 1) / fps < SHORTEST:
        raise DataError(
            f"{len(joints)} frames at {fps:g} a second; expected at least {SHORTEST:g} s: leave it out"
        )
    bad = int((~np.isfinite(joints)).any(axis=2).sum())
    if bad:
        raise DataError(f"{bad} joint positions are NaN or infinite; fill the gaps, or leave the dance out")
    thigh = float(
        np.median(
            np.linalg.norm(joints[:, SMPL_INDEX["left_knee"]] - joints[:, SMPL_INDEX["left_hip"]], axis=1)
        )
    )
    if not THIGH[0] <= thigh <= THIGH[1]:
        raise DataError(
            f"the left thigh is {thigh:.3g} long; expected {THIGH[0]:g} to {THIGH[1]:g} m: "
            f"give positions of SMPL's joints in metres"
        )

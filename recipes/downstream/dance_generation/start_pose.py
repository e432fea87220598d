"""A dance that goes on from a motion: its last frames as the first ones of a slice."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from motion_data.body.resampling import resample_positions, resample_rotations
from motion_data.body.rotation_fit import posed_body
from motion_data.body.rotations import axis_angle_to_matrix
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS
from recipes.downstream.dance_generation.body_numbers import FPS, RotationNumbers
from recipes.downstream.dance_generation.model import DanceModel

LONGEST = 2.0
"""Seconds of a motion that are kept: less than half a slice, so that there is something to dance."""


def start_numbers(model: DanceModel, motion: Motion, name: str) -> Tensor:
    """(1, s, N) numbers of a motion's last frames, the first of them at the origin.

    Args:
        model: whose layout of a body it is to be.
        motion: of the common skeleton, at any rate.
        name: for messages.

    Raises:
        DataError: another skeleton, or fewer than two frames.
    """
    if motion.names != JOINTS:
        raise DataError(
            f"{name}: {len(motion.names)} joints; expected the {len(JOINTS)} of the common skeleton"
        )
    kept = slice(-round(LONGEST * FPS), None)
    joints = resample_positions(motion.joints, motion.fps, FPS)[kept].astype(np.float32)
    rotations = None
    if isinstance(model.numbers, RotationNumbers):
        turned = resample_rotations(posed_body(motion).rotations, motion.fps, FPS)[kept]
        rotations = torch.from_numpy(axis_angle_to_matrix(turned)).float()[None]
    if len(joints) < 2:
        raise DataError(f"{name}: lasts {motion.seconds:.2f} s; expected two frames at 30 a second")
    whole = model.numbers.encode(torch.from_numpy(joints)[None], rotations)
    return model.numbers.moved(whole, model.numbers.place(whole), to_origin=True)

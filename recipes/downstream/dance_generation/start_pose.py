"""A dance that goes on from a motion: its last frames as the first ones of a slice."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from motion_data.body.kinematics import axis_angle_to_matrix
from motion_data.body.rotation_fit import posed_body
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
    rotated = isinstance(model.numbers, RotationNumbers)
    try:
        last = replace(motion, rotations=posed_body(motion).rotations if rotated else None).at_rate(FPS)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    rotations = None
    if last.rotations is not None:
        rotations = torch.from_numpy(axis_angle_to_matrix(last.rotations[kept])).float()[None]
    whole = model.numbers.encode(torch.from_numpy(last.joints[kept])[None], rotations)
    return model.numbers.moved(whole, model.numbers.place(whole), to_origin=True)

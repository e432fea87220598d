"""Input channels of the motion tower at 50 Hz [O].

They do not depend on where in the room the motion takes place and which way it faces: positions are relative
to the point on the floor under the root, and rotated about the vertical so that the hips face one way.
"""

from __future__ import annotations

import torch
from torch import Tensor

JOINTS = 22
"""Number of joints of SMPL's body, in its order: pelvis, left hip, right hip, ..."""

LEFT_HIP, RIGHT_HIP = 1, 2

LIMBS = 2
"""Left and right: feet, or hands if no foot is visible."""

CHANNELS = 2 * 3 * JOINTS + 3 + LIMBS + 1
"""Positions and velocities of the joints, velocity of the root, a pulse per limb, and ``has_joints``."""

VELOCITY_SCALE = 2.0
"""Velocity in m/s of a channel value of 1."""


def motion_frames(joints: Tensor, pulses: Tensor, has_joints: Tensor, rate: float) -> Tensor:
    """Compute the channels of each frame.

    Args:
        joints: (B, F, 22, 3) in metres, y up; ignored where ``has_joints`` is false.
        pulses: (B, F, 2) contact pulses, left and right, in [0, 1].
        has_joints: (B,) false for motions that are pulses alone, such as step charts.
        rate: frames per second.

    Returns:
        (B, F, CHANNELS), invariant to translations on the floor and rotations about the vertical.
    """
    root = joints[:, :, 0]
    floor = root * root.new_tensor([1.0, 0.0, 1.0])
    facing = _facing(joints)
    positions = _rotate(joints - floor[:, :, None], facing)
    velocities = _rotate(_velocity(joints, rate), facing) / VELOCITY_SCALE
    root_velocity = _rotate(_velocity(root, rate)[:, :, None], facing)[:, :, 0] / VELOCITY_SCALE
    body = torch.cat([positions.flatten(2), velocities.flatten(2), root_velocity], -1)
    known = has_joints[:, None, None].to(body.dtype)
    return torch.cat([torch.nan_to_num(body) * known, pulses, known.expand(-1, body.shape[1], -1)], -1)


def _velocity(x: Tensor, rate: float) -> Tensor:
    """Central differences of (B, F, ...) per second, one-sided at the ends."""
    if x.shape[1] < 2:
        return torch.zeros_like(x)
    middle = (x[:, 2:] - x[:, :-2]) * (rate / 2)
    first, last = (x[:, 1:2] - x[:, :1]) * rate, (x[:, -1:] - x[:, -2:-1]) * rate
    return torch.cat([first, middle, last], 1)


def _facing(joints: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, each (B, F), of the direction from the right to the left hip on the floor."""
    across = joints[:, :, LEFT_HIP] - joints[:, :, RIGHT_HIP]
    x, z = across[..., 0], across[..., 2]
    length = torch.hypot(x, z)
    known = length > 1e-4
    length = torch.where(known, length, 1.0)
    return torch.where(known, x / length, 1.0), torch.where(known, z / length, 0.0)


def _rotate(x: Tensor, facing: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate (B, F, J, 3) about the vertical so that the hips lie along the first axis."""
    cos, sin = (part[..., None] for part in facing)
    return torch.stack(
        [cos * x[..., 0] + sin * x[..., 2], x[..., 1], cos * x[..., 2] - sin * x[..., 0]], dim=-1
    )

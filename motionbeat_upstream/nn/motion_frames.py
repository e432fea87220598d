"""What the motion tower sees of a body, 50 times a second [O].

A dance is the same dance wherever in the room it is danced and whichever way it faces; so positions
are taken from the point on the floor under the root, and turned until the hips face one way.
"""

from __future__ import annotations

import torch
from torch import Tensor

JOINTS = 22
"""Joints of SMPL's body, in its order: pelvis, left hip, right hip, ..."""

LEFT_HIP, RIGHT_HIP = 1, 2

LIMBS = 2
"""Left and right: feet, or hands where no foot is in view."""

CHANNELS = 2 * 3 * JOINTS + 3 + LIMBS + 1
"""Positions and velocities of the joints, velocity of the root, a pulse a limb, whether joints are there."""

SPEED = 2.0
"""m/s that count as 1."""


def motion_frames(joints: Tensor, pulses: Tensor, has_joints: Tensor, rate: float) -> Tensor:
    """Channels of each frame.

    Args:
        joints: (B, F, 22, 3) in metres, y up; anything where there are none.
        pulses: (B, F, 2) contact pulses of either side, in [0, 1].
        has_joints: (B,) false for step charts and the like, whose joints count as 0.
        rate: frames a second.

    Returns:
        (B, F, CHANNELS): the same wherever in the room the motion takes place, and whichever way the
        whole of it is turned.
    """
    root = joints[:, :, 0]
    floor = root * root.new_tensor([1.0, 0.0, 1.0])
    turn = _facing(joints)
    placed = _turn(joints - floor[:, :, None], turn)
    moved = _turn(_velocity(joints, rate), turn) / SPEED
    travel = _turn(_velocity(root, rate)[:, :, None], turn)[:, :, 0] / SPEED
    seen = torch.cat([placed.flatten(2), moved.flatten(2), travel], -1)
    there = has_joints[:, None, None].to(seen.dtype)
    return torch.cat([torch.nan_to_num(seen) * there, pulses, there.expand(-1, seen.shape[1], -1)], -1)


def _velocity(x: Tensor, rate: float) -> Tensor:
    """(B, F, ...) central differences, one-sided at the ends, in units a second."""
    if x.shape[1] < 2:
        return torch.zeros_like(x)
    middle = (x[:, 2:] - x[:, :-2]) * (rate / 2)
    first, last = (x[:, 1:2] - x[:, :1]) * rate, (x[:, -1:] - x[:, -2:-1]) * rate
    return torch.cat([first, middle, last], 1)


def _facing(joints: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) cosine and sine of the hips' heading on the floor."""
    across = joints[:, :, LEFT_HIP] - joints[:, :, RIGHT_HIP]
    x, z = across[..., 0], across[..., 2]
    length = torch.hypot(x, z)
    known = length > 1e-4
    length = torch.where(known, length, 1.0)
    return torch.where(known, x / length, 1.0), torch.where(known, z / length, 0.0)


def _turn(x: Tensor, facing: tuple[Tensor, Tensor]) -> Tensor:
    """(B, F, J, 3) turned about the vertical until the hips lie along the first axis."""
    cos, sin = (part[..., None] for part in facing)
    return torch.stack(
        [cos * x[..., 0] + sin * x[..., 2], x[..., 1], cos * x[..., 2] - sin * x[..., 0]], dim=-1
    )

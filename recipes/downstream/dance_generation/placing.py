"""Where a body stands and which way it faces: every slice begins at the origin, facing +z [O].

EDGE leaves dancers where they are in the room. Here a slice says how the body moves from its first frame on,
wherever that is; so a long dance may wander, and each slice of it is like one that was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motion_data.skeleton import INDEX

LINES = ("hip", "shoulder")
"""From left to right across the body."""


@dataclass(frozen=True)
class Place:
    """Of B bodies."""

    ground: Tensor
    """(B, 2) x and z in metres."""
    heading: Tensor
    """(B,) radians from +z towards +x."""


def place_of(joints: Tensor) -> Place:
    """Where bodies stand, by the pelvis, and face, by the mean line across hips and shoulders.

    Args:
        joints: (B, 22, 3) metres, y up.
    """
    across = sum(joints[:, INDEX[f"left_{part}"]] - joints[:, INDEX[f"right_{part}"]] for part in LINES)
    assert isinstance(across, Tensor)
    # left × up is ahead
    return Place(joints[:, 0, [0, 2]], torch.atan2(-across[:, 2], across[:, 0]))


def turned(vectors: Tensor, angle: Tensor) -> Tensor:
    """(B, ..., 3) turned about y by (B,) radians from +z towards +x."""
    shape = (-1,) + (1,) * (vectors.ndim - 2)
    cosine, sine = angle.cos().view(shape), angle.sin().view(shape)
    x, y, z = vectors.unbind(-1)
    return torch.stack([x * cosine + z * sine, y, z * cosine - x * sine], -1)

"""No jump where given frames end: what the model would have had there decays into what it says.

As game engines go from one motion to another (inertialisation, Bollo, "Inertialization: High-Performance
Animation Transitions in Gears of War", GDC 2018), here at every step of drawing [O].
"""

from __future__ import annotations

import torch
from torch import Tensor

HALF_LIFE = 3.0
"""Frames after which half of the difference is left: a tenth of a second."""


def eased(said: Tensor, values: Tensor, given: Tensor) -> Tensor:
    """(B, T, N) what was said, led to what is given.

    Each frame is moved by the difference between what is given and what was said at the nearest given frame,
    the less the farther it is; given frames are as they are given. A slice without any stays as it is.

    Args:
        said: (B, T, N).
        values: (B, T, N); what other frames hold is not looked at.
        given: (B, T) bool.
    """
    frames = torch.arange(given.shape[1], device=given.device)
    apart = (frames[:, None] - frames).abs().to(said.dtype)  # (T, T): from each to each
    apart = torch.where(given[:, None, :], apart, torch.inf)
    distance, nearest = apart.min(-1)
    off = torch.where(given[..., None], values - said, 0.0)
    off = off.gather(1, nearest[..., None].expand_as(said))
    moved: Tensor = said + off * torch.exp2(-distance / HALF_LIFE)[..., None]
    return moved

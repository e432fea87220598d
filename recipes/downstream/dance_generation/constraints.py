"""What of a dance is given: the frames that it goes on from, or any other of its numbers.

A constraint holds the numbers of slices that begin at the origin, and which of them are known. While a slice
is drawn, what is known takes the place of what is guessed of the clean slice at every step [O; EDGE puts it
in with noise]; frames known whole are also told to the denoiser, which was trained to go on from such. What
is known stands in the result to the digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

HALF_LIFE = 3.0
"""Frames after which half of the difference is left: a tenth of a second."""


@dataclass(frozen=True)
class Constraint:
    """Of B slices of T frames."""

    values: Tensor
    """(B, T, N)."""
    known: Tensor
    """(B, T, N) bool."""

    def __post_init__(self) -> None:
        if self.values.shape != self.known.shape or self.known.dtype != torch.bool:
            raise ValueError(
                f"values of shape {tuple(self.values.shape)} and known of {tuple(self.known.shape)} "
                f"{self.known.dtype}; expected one shape, and bool"
            )


def begins_with(given: Tensor, frames: int) -> Constraint:
    """Slices of so many frames that begin with (B, s, N)."""
    values = torch.nn.functional.pad(given, (0, 0, 0, frames - given.shape[1]))
    known = torch.zeros_like(values, dtype=torch.bool)
    known[:, : given.shape[1]] = True
    return Constraint(values, known)


def eased(said: Tensor, values: Tensor, given: Tensor) -> Tensor:
    """(B, T, N) what was said, led to what is given, so that there is no jump where given frames end.

    Each frame is moved by the difference between what is given and what was said at the nearest given frame,
    the less the farther it is; given frames are as they are given. A slice without any stays as it is. So do
    game engines go from one motion to another (inertialisation, Bollo, "Inertialization: High-Performance
    Animation Transitions in Gears of War", GDC 2018), here at every step of drawing [O].

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

"""What of a dance is given: poses at its ends, the frames around a gap, joints that are led by hand.

A constraint holds the numbers of slices that begin at the origin, and which of them are known. While a slice
is drawn, what is known takes the place of what is guessed of the clean slice at every step [O; EDGE puts it
in with noise]; frames known whole are also told to the denoiser, which was trained to go on from such. What
is known stands in the result to the digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motion_data.skeleton import JOINTS
from recipes.downstream.dance_generation.body_numbers import ROOT, BodyNumbers


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

    def __or__(self, other: Constraint) -> Constraint:
        """Both; where both know, the other's value."""
        return Constraint(torch.where(other.known, other.values, self.values), self.known | other.known)


def frames_given(values: Tensor, frames: Sequence[int] | slice) -> Constraint:
    """Whole bodies at some frames: a start, an end, both sides of a gap.

    Args:
        values: (B, T, N); what other frames hold is not looked at.
        frames: of T.
    """
    known = torch.zeros_like(values, dtype=torch.bool)
    known[:, frames if isinstance(frames, slice) else list(frames)] = True
    return Constraint(values, known)


def joints_given(values: Tensor, numbers: BodyNumbers, names: Sequence[str]) -> Constraint:
    """Some joints in all frames, the rest free. The pelvis stands for the root's way.

    Args:
        values: (B, T, N); what other joints hold is not looked at.
        numbers: the layout.
        names: of :data:`~motion_data.skeleton.JOINTS`.

    Raises:
        ValueError: a joint of another name.
    """
    unknown = [name for name in names if name not in JOINTS]
    if unknown:
        raise ValueError(f"no joint {', '.join(unknown)}; there are {', '.join(JOINTS)}")
    known = torch.zeros_like(values, dtype=torch.bool)
    for name in names:
        known[..., numbers.of_joint(name)] = True
        if name == JOINTS[0]:
            known[..., ROOT] = True
    return Constraint(values, known)

"""Bar-equivariant phase rotations [P name, O formula].

A token's bar phase θ turns once a bar, whatever the metre. R(θ) is block-diagonal: pair i of a
head's dimensions turns by h_i·θ, with integer harmonics h_i ≥ 0, so that a whole bar is the
identity. What is attended to then depends on differences of phase only: a wrong guess of the
downbeat, one δ added to every phase, costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of one angle per token and pair of dimensions."""

    cos: Tensor
    """(..., N, P) cosine of each pair's angle."""
    sin: Tensor
    """(..., N, P) sine of each pair's angle."""

    def apply(self, x: Tensor) -> Tensor:
        """Turn the pairs of ``x`` (..., N, 2P): dimensions 2i and 2i + 1 make pair i."""
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)

    def inverse(self) -> Rotation:
        """The rotation that undoes this one."""
        return Rotation(self.cos, -self.sin)

    def then(self, other: Rotation) -> Rotation:
        """This rotation followed by ``other``: their angles add."""
        return Rotation(
            self.cos * other.cos - self.sin * other.sin,
            self.sin * other.cos + self.cos * other.sin,
        )


def rotation(angle: Tensor) -> Rotation:
    """The rotation by ``angle`` (..., N, P) in radians."""
    return Rotation(torch.cos(angle), torch.sin(angle))


class PhaseRotation(nn.Module):
    """R(θ) for the bar, and the turns over 2, 4, 8 … bars that tell bars apart.

    The pairs with harmonic 0 stand still in the bar; they are turned by the hypermetre instead,
    with a period of whole bars each, for queries and keys only. Every angle is a multiple of the
    position counted in bars, so only differences of position reach the attention.

    Args:
        pairs: P, pairs of dimensions of a head.
        harmonics: turns per bar, integers ≥ 0, dealt to the pairs in turn.
        hypermetre: periods in bars, dealt to the pairs with harmonic 0; empty for none.
    """

    harmonic: Tensor
    period: Tensor

    def __init__(self, pairs: int, harmonics: Sequence[int], hypermetre: Sequence[int] = ()) -> None:
        super().__init__()
        dealt = [harmonics[i % len(harmonics)] for i in range(pairs)]
        still = [i for i, harmonic in enumerate(dealt) if harmonic == 0]
        period = [0] * pairs
        for order, i in enumerate(still):
            period[i] = hypermetre[order % len(hypermetre)] if hypermetre else 0
        # Derived from the configuration, so they are no part of a checkpoint.
        self.register_buffer("harmonic", torch.tensor(dealt), persistent=False)
        self.register_buffer("period", torch.tensor(period), persistent=False)

    def bar_rotation(self, phase: Tensor) -> Rotation:
        """R(θ) for ``phase`` (..., N) in radians."""
        return rotation(phase[..., None] * self.harmonic.to(phase.dtype))

    def position_rotation(self, phase: Tensor, bar: Tensor) -> Rotation:
        """R(θ) and the hypermetre together, for queries and keys.

        Args:
            phase: (..., N) bar phase in radians.
            bar: (..., N) index of the bar, int64.
        """
        period = self.period
        moves = period > 0
        # The bar's index is reduced before it meets a float, so long pieces lose no precision.
        within = torch.remainder(bar[..., None], torch.where(moves, period, 1)).to(phase.dtype)
        turns = (within * (2 * math.pi) + phase[..., None]) / torch.where(moves, period, 1)
        return self.bar_rotation(phase).then(rotation(turns * moves))

"""Bar-equivariant phase rotations [P name, O formula].

A token's bar phase θ increases by 2π per bar in every metre. R(θ) is block-diagonal: pair i of a head's
dimensions is rotated by h_i·θ, with integer harmonics h_i ≥ 0, so that a whole bar is the identity. Attention
depends on differences of phase only: wrong downbeats, which add one δ to every phase, do not change it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rotation:
    """A rotation by one angle per token and pair of dimensions."""

    cos: Tensor
    """(..., N, P) cosine of each pair's angle."""
    sin: Tensor
    """(..., N, P) sine of each pair's angle."""

    def apply(self, x: Tensor) -> Tensor:
        """Rotate the pairs of ``x`` (..., N, 2P); pair i is dimensions 2i and 2i + 1."""
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)

    def inverse(self) -> Rotation:
        """Return the inverse rotation."""
        return Rotation(self.cos, -self.sin)

    def then(self, other: Rotation) -> Rotation:
        """Return the composition with ``other``; the angles add."""
        return Rotation(
            self.cos * other.cos - self.sin * other.sin,
            self.sin * other.cos + self.cos * other.sin,
        )


def rotation(angle: Tensor) -> Rotation:
    """The rotation by ``angle`` (..., N, P) in radians."""
    return Rotation(torch.cos(angle), torch.sin(angle))


class PhaseRotation(nn.Module):
    """R(θ) for the bar, and rotations with periods of 2, 4, 8 … bars that distinguish bars.

    Pairs with harmonic 0 do not depend on θ. For queries and keys they are rotated by the hypermetre instead,
    each with a period of whole bars. Every angle is a multiple of the time counted in bars, so attention
    depends on differences only.

    Args:
        pairs: P, pairs of dimensions of a head.
        harmonics: cycles per bar, integers ≥ 0, assigned to the pairs cyclically.
        hypermetre: periods in bars, assigned cyclically to the pairs with harmonic 0; empty for none.
    """

    harmonic: Tensor
    period: Tensor

    def __init__(self, pairs: int, harmonics: Sequence[int], hypermetre: Sequence[int] = ()) -> None:
        super().__init__()
        harmonic = [harmonics[i % len(harmonics)] for i in range(pairs)]
        period = [0] * pairs
        if hypermetre:
            constant = [i for i in range(pairs) if harmonic[i] == 0]
            for order, i in enumerate(constant):
                period[i] = hypermetre[order % len(hypermetre)]
        # Derived from the configuration, so not stored in checkpoints.
        self.register_buffer("harmonic", torch.tensor(harmonic), persistent=False)
        self.register_buffer("period", torch.tensor(period), persistent=False)

    def bar_rotation(self, phase: Tensor) -> Rotation:
        """Return R(θ) for ``phase`` (..., N) in radians."""
        return rotation(phase[..., None] * self.harmonic.to(phase.dtype))

    def position_rotation(self, phase: Tensor, bar: Tensor) -> Rotation:
        """Return R(θ) combined with the hypermetre, for queries and keys.

        Args:
            phase: (..., N) bar phase in radians.
            bar: (..., N) index of the bar, int64.
        """
        has_period = self.period > 0
        period = torch.where(has_period, self.period, 1)
        # The remainder is taken in integers, so long pieces lose no precision.
        bars = torch.remainder(bar[..., None], period).to(phase.dtype)
        angle = (bars * (2 * math.pi) + phase[..., None]) / period
        return self.bar_rotation(phase).then(rotation(angle * has_period))

"""The spectrum over bars of learned accent curves: what music and motion are compared by [O].

The token layers are blind to where a bar begins, by design, and so is a mean over their tokens: a motion
that comes a beat late has the same mean as one in time. The spectrum keeps the place. One δ added to the
phases of both sides turns both spectra alike and leaves their product as it was; a motion moved
against its music turns one of them. Without it beat-jitter negatives cannot be told from the positive.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BARS = 4
"""The lowest frequency is one turn in so many bars."""

HIGHEST = 8
"""Turns a bar of the highest frequency: sixteenths of a bar are the finest that is told apart."""


class BarSpectrum(nn.Module):
    """Curves over a clip's tokens, and their Fourier coefficients at whole multiples of 1/4 turn a bar.

    Args:
        dim: D, width of the tokens.
        curves: C, learned curves.
    """

    frequency: Tensor

    def __init__(self, dim: int, curves: int) -> None:
        super().__init__()
        frequency = torch.arange(1, BARS * HIGHEST + 1) / BARS
        self.register_buffer("frequency", frequency, persistent=False)
        self.curves = nn.Linear(dim, curves, bias=False)
        self.gain = nn.Parameter(torch.ones(curves, len(frequency)))

    def forward(self, tokens: Tensor, phase: Tensor, bar: Tensor, mask: Tensor) -> Tensor:
        """Spectra of a batch.

        Args:
            tokens: (B, N, D).
            phase: (B, N) bar phase θ in radians.
            bar: (B, N) index of the bar.
            mask: (B, N) true where there is a token.

        Returns:
            (B, 2 · C · 32) real and imaginary parts; the product of two spectra is the correlation of
            their curves, each frequency weighted by its gains.
        """
        there = mask[..., None].to(tokens.dtype)
        count = there.sum(1, keepdim=True).clamp(min=1)
        curves = self.curves(tokens)
        # What a clip has at all times says nothing of place, and would leak into the low frequencies.
        curves = (curves - (curves * there).sum(1, keepdim=True) / count) * there
        turns = (2 * math.pi * bar.to(phase.dtype) + phase)[..., None] * self.frequency
        wave = torch.stack((torch.cos(turns), torch.sin(turns)), -1).to(curves.dtype)
        spectrum = torch.einsum("bnc,bnfp->bcfp", curves, wave) / count[..., None]
        return (spectrum * self.gain[..., None]).flatten(1)

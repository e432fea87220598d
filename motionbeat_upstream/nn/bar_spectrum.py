"""The spectrum over bars of learned accent curves: what music and motion are compared by [O].

The token layers are blind to where a bar begins, by design, and so is a mean over their tokens: a motion
that comes a beat late has the same mean as one in time. The spectrum keeps the place. One δ added to the
phases of both sides turns both spectra alike and leaves their product as it was; a motion moved
against its music turns one of them. Without it beat-jitter negatives cannot be told from the positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from motionbeat_upstream.tracking.grid import Grid, time_to_bars

BARS = 4
"""The lowest frequency is one turn in so many bars."""

HIGHEST = 24
"""Turns a bar of the highest frequency: at 120 bpm in 4/4 its period is 83 ms."""


class BarSpectrum(nn.Module):
    """Curves over a clip's frames, and their Fourier coefficients at whole multiples of 1/4 turn a bar.

    Args:
        dim: D, width of the frames.
        curves: C, learned curves.
    """

    frequency: Tensor

    def __init__(self, dim: int, curves: int) -> None:
        super().__init__()
        frequency = torch.arange(1, BARS * HIGHEST + 1) / BARS
        self.register_buffer("frequency", frequency, persistent=False)
        self.curves = nn.Linear(dim, curves, bias=False)
        self.gain = nn.Parameter(torch.ones(curves, len(frequency)))

    def forward(self, frames: Tensor, turns: Tensor, mask: Tensor) -> Tensor:
        """Spectra of a batch.

        Args:
            frames: (B, F, D).
            turns: (B, F) where each frame lies, counted in bars; see :func:`frame_bars`.
            mask: (B, F) true within a clip.

        Returns:
            (B, 2 · C · 96) real and imaginary parts; the product of two spectra is the correlation of
            their curves, each frequency weighted by its gains.
        """
        there = mask[..., None].to(frames.dtype)
        count = there.sum(1, keepdim=True).clamp(min=1)
        curves = self.curves(frames)
        # What a clip has at all times says nothing of place, and would leak into the low frequencies.
        curves = (curves - (curves * there).sum(1, keepdim=True) / count) * there
        angle = (2 * math.pi * turns)[..., None] * self.frequency
        real = torch.einsum("bfc,bfq->bcq", curves, torch.cos(angle).to(curves.dtype))
        imaginary = torch.einsum("bfc,bfq->bcq", curves, torch.sin(angle).to(curves.dtype))
        spectrum = torch.stack((real, imaginary), -1) / count[..., None]
        return (spectrum * self.gain[..., None]).flatten(1)


def frame_bars(grids: Sequence[Grid], frames: int, rate: float) -> Tensor:
    """Where each frame of each clip lies, counted in bars from the one that the clip begins in.

    Args:
        grids: one a clip; continued at the tempo of the outer beats.
        frames: F, frame k stands for (k + 0.5) / ``rate`` seconds.
        rate: frames a second.

    Returns:
        (B, F) float32; the share of a bar is the bar phase θ / 2π.
    """
    clock = (np.arange(frames) + 0.5) / rate
    rows = []
    for grid in grids:
        place = time_to_bars(grid, clock)
        rows.append(place - np.floor(place[0]))
    return torch.from_numpy(np.stack(rows).astype(np.float32))

"""Fourier spectra over bars of learned accent activations, to compare music with motion [O].

The token layers are invariant to where a bar begins, and so is the mean over their tokens: a motion that is a
beat late has the same mean as one in time. The spectrum depends on the phase. A δ added to the phases of both
sides rotates both spectra alike and does not change their product; a motion shifted against its music rotates
only one of them. Without the spectrum, beat-jitter negatives cannot be distinguished from the positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from motionbeat_upstream.tracking.grid import Grid, time_to_bars

LONGEST_PERIOD = 4
"""Period of the lowest frequency, in bars."""

MAX_FREQUENCY = 24
"""Highest frequency in cycles per bar: at 120 bpm in 4/4 its period is 83 ms."""


class BarSpectrum(nn.Module):
    """Learned activations of a clip's frames, and their Fourier coefficients at multiples of 1/4 cycle per
    bar.

    Args:
        dim: D, width of the frames.
        curves: C, number of learned activations.
    """

    frequency: Tensor

    def __init__(self, dim: int, curves: int) -> None:
        super().__init__()
        frequency = torch.arange(1, LONGEST_PERIOD * MAX_FREQUENCY + 1) / LONGEST_PERIOD
        self.register_buffer("frequency", frequency, persistent=False)
        self.curves = nn.Linear(dim, curves, bias=False)
        self.gain = nn.Parameter(torch.ones(curves, len(frequency)))

    def forward(self, frames: Tensor, bars: Tensor, mask: Tensor) -> Tensor:
        """Compute the spectra of a batch.

        Args:
            frames: (B, F, D).
            bars: (B, F) time of each frame, counted in bars; see :func:`frame_bars`.
            mask: (B, F) true within a clip.

        Returns:
            (B, 2 · C · 96) real and imaginary parts. The product of two spectra is the correlation of
            the activations, with each frequency weighted by its gains.
        """
        inside = mask[..., None].to(frames.dtype)
        count = inside.sum(1, keepdim=True).clamp(min=1)
        curves = self.curves(frames)
        # The mean carries no phase, and would leak into the low frequencies.
        curves = (curves - (curves * inside).sum(1, keepdim=True) / count) * inside
        angle = (2 * math.pi * bars)[..., None] * self.frequency
        real = torch.einsum("bfc,bfq->bcq", curves, torch.cos(angle).to(curves.dtype))
        imaginary = torch.einsum("bfc,bfq->bcq", curves, torch.sin(angle).to(curves.dtype))
        spectrum = torch.stack((real, imaginary), -1) / count[..., None]
        return (spectrum * self.gain[..., None]).flatten(1)


def frame_bars(grids: Sequence[Grid], frames: int, rate: float) -> Tensor:
    """Time of each frame of each clip, counted in bars from the bar in which the clip begins.

    Args:
        grids: one per clip; the tempo of the outer beats continues beyond them.
        frames: F, frame k is centred at (k + 0.5) / ``rate`` seconds.
        rate: frames per second.

    Returns:
        (B, F) float32; the fractional part is the bar phase θ / 2π.
    """
    times = (np.arange(frames) + 0.5) / rate
    rows = []
    for grid in grids:
        bars = time_to_bars(grid, times)
        rows.append(bars - np.floor(bars[0]))
    return torch.from_numpy(np.stack(rows).astype(np.float32))

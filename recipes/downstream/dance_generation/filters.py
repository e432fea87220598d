"""What smoothing alone makes of a noisy slice of dance.

A small decoder cannot pass on so many numbers to the digit: told a slice without any noise it still missed
joints by 11 cm, and its dances trembled. Filters need only learn to change nothing, and leave to the decoder
what they cannot know [O].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SPREADS = (1.0, 2.5, 6.0, 15.0)
"""Standard deviations of the filters in frames."""

REACH = 45
"""Frames to either side that a filter sees."""


class Filters(nn.Module):
    """Means over ever more frames, each with a weight for every number that the noise level decides on; and
    what the mean of all frames says of the body.

    Args:
        width: of the noise level's sinusoids.
        numbers: N, of a frame of motion.
    """

    kernels: Tensor

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        place = torch.arange(-REACH, REACH + 1)
        bells = torch.stack([torch.exp(-0.5 * (place / spread) ** 2) for spread in SPREADS])
        self.register_buffer("kernels", bells / bells.sum(1, keepdim=True), persistent=False)
        weights = nn.Linear(width, (len(bells) + 1) * numbers)
        body = nn.Linear(width, numbers)
        for last in (weights, body):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.Mish(), weights)
        self.whole = nn.Sequential(nn.Linear(numbers + width, width), nn.Mish(), body)

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """(B, T, N) of (B, T, N); nothing before training.

        Args:
            noisy: the slices.
            level: (B, W) sinusoids of the noise level.
        """
        count, frames, numbers = noisy.shape
        rows = noisy.transpose(1, 2).reshape(count * numbers, 1, frames)
        rows = nn.functional.pad(rows, (REACH, REACH), mode="replicate")
        smooth = nn.functional.conv1d(rows, self.kernels[:, None]).unflatten(0, (count, numbers))
        every = torch.cat([noisy.transpose(1, 2)[:, :, None], smooth], 2)
        weights = self.weigh(level).unflatten(-1, (numbers, -1))
        whole = self.whole(torch.cat([noisy.mean(1), level], -1))
        filtered: Tensor = torch.einsum("bnkt,bnk->btn", every, weights) + whole[:, None]
        return filtered

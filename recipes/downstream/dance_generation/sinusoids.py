"""A number as a vector, for places in time and levels of noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoids(places: Tensor, width: int) -> Tensor:
    """(..., W) sines and cosines of numbers, with periods from 2π to 10,000 · 2π (Vaswani et al. 2017)."""
    rates = torch.exp(-torch.arange(0, width, 2, device=places.device) * (math.log(10_000) / width))
    angles = places[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)

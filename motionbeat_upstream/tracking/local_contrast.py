"""Local normalisation of an activation, so that soft passages count as much as loud ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.tracking.frontend import length_mask

RESOLUTION = 1e-4
"""Activations are rounded to multiples of this. Sums of integers are exact in any order, so results do not
depend on the batch or on rounding errors of the activation."""

MEAN_RADIUS, POWER_RADIUS = 40, 400
"""Frames of 10 ms on each side for the local mean and the local power."""

DEVIATION_FLOOR = 0.01
"""Added to the local standard deviation, so that noise in a nearly constant activation is not amplified."""

GLOBAL_SHARE = 0.2
"""Share of the whole clip's standard deviation added to the local one."""


def local_contrast(activation: Tensor, lengths: Tensor) -> Tensor:
    """Subtract the local mean and divide by the local standard deviation.

    Args:
        activation: (B, F) at 100 Hz, finite, of the order of 1 at its peaks.
        lengths: (B,) frames of each clip.

    Returns:
        (B, F) float32, 0 beyond a clip's frames.
    """
    deviation = local_deviation(to_integer(activation), lengths, MEAN_RADIUS)
    power = deviation.square()
    total, count = _window_sum(power, lengths, POWER_RADIUS)
    local = (total / count).sqrt()
    overall = (power.sum(1, keepdim=True) / lengths[:, None]).sqrt()
    return deviation / (local + GLOBAL_SHARE * overall + DEVIATION_FLOOR / RESOLUTION)


def to_integer(x: Tensor) -> Tensor:
    """Round ``x`` to multiples of ``RESOLUTION``, returned as int64."""
    return (x.float() / RESOLUTION).round().long()


def local_deviation(steps: Tensor, lengths: Tensor, reach: int) -> Tensor:
    """Subtract the mean within ``reach`` frames from (B, F) integers."""
    inside = length_mask(lengths, steps.shape[1])
    total, count = _window_sum(steps * inside, lengths, reach)
    return (steps - torch.div(total, count, rounding_mode="floor")) * inside


def _window_sum(x: Tensor, lengths: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Sum and number of the clip's frames within ``reach`` of each frame."""
    total = F.pad(x.cumsum(1), (1, 0))
    frame = torch.arange(x.shape[1], device=x.device)
    first = (frame - reach).clamp(min=0).minimum(lengths[:, None])
    last = (frame + reach + 1).minimum(lengths[:, None])
    return total.gather(1, last) - total.gather(1, first), (last - first).clamp(min=1)

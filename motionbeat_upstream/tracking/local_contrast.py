"""An activation seen against its surroundings, so that quiet passages count as much as loud ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.tracking.frontend import length_mask

STEP = 1e-4
"""Steps that an activation is counted in. Sums of whole numbers are exact in any order, so a clip
gets the same numbers in any batch, and rounding in what made the activation decides nothing."""

MEAN_REACH, POWER_REACH = 40, 400
"""Frames of 10 ms to either side that the local mean and the local power are taken over."""

FLOOR = 0.01
"""Added to the local standard deviation: in an activation that hardly moves, noise stays small."""

GLOBAL_SHARE = 0.2
"""Share of the whole clip's standard deviation added to the local one."""


def local_contrast(activation: Tensor, lengths: Tensor) -> Tensor:
    """Subtract the local mean, divide by the local standard deviation.

    Args:
        activation: (B, F) at 100 Hz, finite, of the order of 1 at its peaks.
        lengths: (B,) frames of each clip.

    Returns:
        (B, F) float32, 0 beyond a clip's frames.
    """
    deviation = local_deviation(whole_steps(activation), lengths, MEAN_REACH)
    power = deviation.square()
    total, count = _window_sum(power, lengths, POWER_REACH)
    local = (total / count).sqrt()
    overall = (power.sum(1, keepdim=True) / lengths[:, None]).sqrt()
    return deviation / (local + GLOBAL_SHARE * overall + FLOOR / STEP)


def whole_steps(x: Tensor) -> Tensor:
    """``x`` in whole numbers of ``STEP``, int64."""
    return (x.float() / STEP).round().long()


def local_deviation(steps: Tensor, lengths: Tensor, reach: int) -> Tensor:
    """(B, F) int64: what each of the (B, F) whole numbers is above their mean within ``reach`` frames."""
    inside = length_mask(lengths, steps.shape[1])
    total, count = _window_sum(steps * inside, lengths, reach)
    return (steps - torch.div(total, count, rounding_mode="floor")) * inside


def _window_sum(x: Tensor, lengths: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Sum and number of frames within ``reach`` of each frame, the clip's own frames only."""
    total = F.pad(x.cumsum(1), (1, 0))
    frame = torch.arange(x.shape[1], device=x.device)
    first = (frame - reach).clamp(min=0).minimum(lengths[:, None])
    last = (frame + reach + 1).minimum(lengths[:, None])
    return total.gather(1, last) - total.gather(1, first), (last - first).clamp(min=1)

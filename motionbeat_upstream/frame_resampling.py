"""Features at other moments than their own, such as those of a motion's frames."""

from __future__ import annotations

import torch
from torch import Tensor


def resample_frames(features: Tensor, first: float, step: float, times: Tensor) -> Tensor:
    """Features at given times, on the straight line between the two frames around each.

    Times before the first frame's centre or after the last one's hold that frame.

    Args:
        features: (..., T, D) floats, T at least 1; frame k is centred at ``first + k * step``.
        first: seconds; of this model's features ``0.5 * STRIDE / SAMPLE_RATE``, 10 ms.
        step: seconds from one centre to the next, above 0; ``STRIDE / SAMPLE_RATE``, 20 ms.
        times: (N,) seconds, in any order.

    Returns:
        (..., N, D) of the features' type, on their device.
    """
    last = features.shape[-2] - 1
    # In float64, since float32 has no room for a frame's share an hour in; and not every device has it.
    place = ((times.detach().cpu().double() - first) / step).clamp(0, last)
    before = place.floor()
    share = (place - before).to(features.device, features.dtype)[:, None]
    index = before.long().to(features.device)
    earlier = features.index_select(-2, index)
    later = features.index_select(-2, (index + 1).clamp(max=last))
    return torch.lerp(earlier, later, share)

"""Resampling of features to given times, such as those of the frames of a motion."""

from __future__ import annotations

import torch
from torch import Tensor


def resample_frames(features: Tensor, first: float, step: float, times: Tensor) -> Tensor:
    """Interpolate features linearly at given times.

    Before the centre of the first frame and after that of the last the features are constant.

    Args:
        features: (..., T, D) floats, T at least 1; frame k is centred at ``first + k * step``.
        first: centre of the first frame in seconds; ``0.5 / FRAME_RATE`` for features of this model.
        step: distance of the centres in seconds, above 0; ``1 / FRAME_RATE`` for features of this model.
        times: (N,) seconds, in any order.

    Returns:
        (..., N, D) with the type and device of ``features``.
    """
    last = features.shape[-2] - 1
    # In float64, since float32 is too coarse after an hour; on the CPU, since not all devices have it.
    position = ((times.detach().cpu().double() - first) / step).clamp(0, last)
    before = position.floor()
    share = (position - before).to(features.device, features.dtype)[:, None]
    index = before.long().to(features.device)
    earlier = features.index_select(-2, index)
    later = features.index_select(-2, (index + 1).clamp(max=last))
    return torch.lerp(earlier, later, share)

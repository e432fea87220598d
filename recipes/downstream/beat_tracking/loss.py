"""The shift-tolerant loss.

After Foscarin, Schlüter and Widmer, "Beat this! Accurate beat tracking without DBN postprocessing" (ISMIR
2024); the tolerance in seconds and the normalisation are ours [O].
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def tolerance_frames(seconds: float, frame_rate: float) -> int:
    """A tolerance in whole frames; 60 ms are 3 frames at 50 Hz and 6 at 100 Hz."""
    return max(round(seconds * frame_rate), 0)


def shift_tolerant_bce(
    logits: Tensor,
    targets: Tensor,
    tolerance: int,
    positive_weight: Tensor | float,
    mask: Tensor | None = None,
) -> Tensor:
    """Weighted binary cross-entropy over logits max-pooled in time.

    A frame with a beat needs a high logit within ``tolerance``; a frame without needs low logits there.
    Frames without a beat within twice the tolerance of a beat are left out, because their requirements
    contradict. So are frames within twice the tolerance of either end, beyond which there may be a beat.

    Args:
        logits: (..., T).
        targets: (..., T), 1 on frames with a beat, else 0.
        tolerance: tolerance in frames, at least 0.
        positive_weight: weight of frames with a beat, or a tensor that broadcasts over (..., T).
        mask: (..., T) bool, false on frames with unknown targets.

    Returns:
        Scalar mean loss over the frames that are not left out; 0 if there are none.
    """
    margin = 2 * tolerance
    pooled = _max_pool(logits, tolerance)
    positive = targets > 0.5
    included = positive | (_max_pool(targets, margin) < 0.5)
    frames = torch.arange(targets.shape[-1], device=targets.device)
    included = included & (frames >= margin) & (frames < len(frames) - margin)
    if mask is not None:
        included = included & mask
    losses = torch.where(positive, positive_weight * F.softplus(-pooled), F.softplus(pooled))
    return torch.where(included, losses, 0.0).sum() / included.sum().clamp(min=1)


def balancing_weight(recordings: Iterable[tuple[float, int]], frame_rate: float, tolerance: int) -> float:
    """The positive weight, at least 1, with which frames with and without beats have the same total weight.

    Args:
        recordings: length in seconds and number of beats of each recording.
        frame_rate: frames per second.
        tolerance: tolerance of the loss in frames.
    """
    seconds, beats = np.sum([*recordings, (0.0, 0)], axis=0)
    others = seconds * frame_rate - beats * (4 * tolerance + 1)
    return max(float(others / beats), 1.0) if beats else 1.0


def _max_pool(values: Tensor, radius: int) -> Tensor:
    """The maximum over ``radius`` frames to either side, of the same length."""
    flat = values.reshape(-1, 1, values.shape[-1])
    return F.max_pool1d(flat, 2 * radius + 1, stride=1, padding=radius).reshape(values.shape)

"""A loss that does not mind a beat a few frames early or late.

In the manner of Foscarin, Schlüter and Widmer, "Beat this! Accurate beat tracking without DBN
postprocessing" (ISMIR 2024), section on the shift-tolerant loss; the tolerance in seconds and the
normalisation are ours [O].
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def tolerance_frames(seconds: float, frame_rate: float) -> int:
    """The tolerance in whole frames; 60 ms are 3 frames at 50 Hz and 6 at 100 Hz."""
    return max(round(seconds * frame_rate), 0)


def shift_tolerant_bce(
    logits: Tensor,
    targets: Tensor,
    tolerance: int,
    positive_weight: Tensor | float,
    mask: Tensor | None = None,
) -> Tensor:
    """Weighted binary cross-entropy over logits max-pooled in time.

    A frame with a beat is right if any frame within ``tolerance`` has a high logit; a frame
    without is right if all of them are low. Frames within twice the tolerance of a beat would
    ask both of the same logits: they are left out, unless they hold a beat themselves. So are the
    frames within twice the tolerance of either end, beyond which a beat may lie unseen.

    Args:
        logits: (..., T).
        targets: (..., T), 1 where there is a beat, else 0.
        tolerance: frames, at least 0.
        positive_weight: factor on frames with a beat, or a tensor that broadcasts over (..., T).
        mask: (..., T) bool, false where the answer is not known.

    Returns:
        The sum of the losses over the number of frames looked at, a scalar; 0 if there are none.
    """
    reach = 2 * tolerance
    pooled = _spread(logits, tolerance)
    positive = targets > 0.5
    looked_at = positive | (_spread(targets, reach) < 0.5)
    frames = torch.arange(targets.shape[-1], device=targets.device)
    looked_at = looked_at & (frames >= reach) & (frames < len(frames) - reach)
    if mask is not None:
        looked_at = looked_at & mask
    losses = torch.where(positive, positive_weight * F.softplus(-pooled), F.softplus(pooled))
    return torch.where(looked_at, losses, 0.0).sum() / looked_at.sum().clamp(min=1)


def balancing_weight(recordings: Iterable[tuple[float, int]], frame_rate: float, tolerance: int) -> float:
    """The positive weight, at least 1, at which beats and all other frames looked at count the same in total.

    Args:
        recordings: length in seconds and number of beats of each.
        frame_rate: frames a second.
        tolerance: frames, as in the loss.
    """
    seconds, beats = np.sum([*recordings, (0.0, 0)], axis=0)
    others = seconds * frame_rate - beats * (4 * tolerance + 1)
    return max(float(others / beats), 1.0) if beats else 1.0


def _spread(values: Tensor, reach: int) -> Tensor:
    """The maximum over ``reach`` frames to either side, of the same length."""
    flat = values.reshape(-1, 1, values.shape[-1])
    return F.max_pool1d(flat, 2 * reach + 1, stride=1, padding=reach).reshape(values.shape)

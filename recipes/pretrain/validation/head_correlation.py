"""Pearson correlation of a head's activations with its target, clip by clip.

The loss is less informative: it is low also for a head that outputs the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.tracking.frontend import length_mask
from recipes.results.estimates import mean_estimate

CONSTANT_TOLERANCE = 1e-5
"""A curve counts as constant if its deviation is at most this share of its maximum."""


def clip_correlations(predicted: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """Pearson correlation of each clip over its own frames.

    Args:
        predicted: (B, F) activations, after the sigmoid for targets in [0, 1].
        target: (B, F).
        lengths: (B,) frames of each clip; frames beyond are ignored.

    Returns:
        (B,) float64 in [-1, 1]; NaN for a constant target, 0 if only the prediction is constant.

    Raises:
        ValueError: NaN or infinity within a clip.
    """
    mask = length_mask(lengths, predicted.shape[1])
    predicted_deviation, predicted_norm = _center(predicted, mask)
    target_deviation, target_norm = _center(target, mask)
    product = predicted_norm * target_norm
    correlation = (
        (predicted_deviation * target_deviation).sum(1) / torch.where(product > 0, product, 1.0)
    ).clamp(-1, 1)
    return torch.where(target_norm > 0, correlation, torch.nan)


def head_correlation(
    name: str, correlations: NDArray[np.float64], pieces: Sequence[int] | NDArray[np.int64]
) -> dict[str, float]:
    """Mean correlation in [-1, 1], with its interval over pieces.

    Args:
        name: name of the metric.
        correlations: (N,) outputs of :func:`clip_correlations`.
        pieces: (N,) number of each clip's piece.

    Returns:
        ``name``, the ends of its interval, and ``name_left_out``, the number of clips with a constant target.
    """
    metrics = mean_estimate(correlations, np.asarray(pieces)).metrics(name)
    return metrics | {f"{name}_left_out": float(np.isnan(correlations).sum())}


def _center(curve: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) deviations from the mean of the clip, 0 beyond the clip, and (B,) their norms, 0 if constant."""
    inside = torch.where(mask, curve.detach().double(), 0.0)
    if not inside.isfinite().all():
        raise ValueError(
            "the output of a head or its target contains NaN or infinity; expected finite values"
        )
    count = mask.sum(1, keepdim=True).clamp(min=1)
    deviation = torch.where(mask, inside - inside.sum(1, keepdim=True) / count, 0.0)
    norm = deviation.square().sum(1).sqrt()
    is_constant = norm <= CONSTANT_TOLERANCE * inside.abs().amax(1) * count[:, 0].sqrt()
    return deviation, torch.where(is_constant, 0.0, norm)

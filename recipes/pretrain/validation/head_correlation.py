"""How well a head follows its target: Pearson's correlation, clip by clip.

Its loss says little of that: a head that gives every frame the mean has a low one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.tracking.frontend import length_mask
from recipes.results.estimates import mean_estimate

FLAT = 1e-5
"""Deviation, as a share of the largest value, up to which a curve counts as constant."""


def clip_correlations(predicted: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """Pearson's correlation of each clip over its own frames.

    Args:
        predicted: (B, F), of the head's sigmoid where the target is a curve in [0, 1].
        target: (B, F).
        lengths: (B,) frames of each clip; what lies beyond does not matter.

    Returns:
        (B,) float64 in [-1, 1]; NaN where the target is constant, 0 where the prediction alone is.

    Raises:
        ValueError: NaN or infinity within a clip, which would pass for a constant target.
    """
    mask = length_mask(lengths, predicted.shape[1])
    one, one_deviation = _deviations(predicted, mask)
    other, other_deviation = _deviations(target, mask)
    product = one_deviation * other_deviation
    correlation = ((one * other).sum(1) / torch.where(product > 0, product, 1.0)).clamp(-1, 1)
    return torch.where(other_deviation > 0, correlation, torch.nan)


def head_correlation(
    name: str, correlations: NDArray[np.float64], pieces: Sequence[int] | NDArray[np.int64]
) -> dict[str, float]:
    """The mean of many clips, in [-1, 1], with its interval over pieces.

    Args:
        name: of the figure.
        correlations: (N,) of :func:`clip_correlations`.
        pieces: (N,) number of each clip's piece.

    Returns:
        ``name``, its ends, and ``name_left_out``: how many clips have a constant target.
    """
    figures = mean_estimate(correlations, np.asarray(pieces)).metrics(name)
    return figures | {f"{name}_left_out": float(np.isnan(correlations).sum())}


def _deviations(curve: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) what each frame is off the clip's mean, 0 outside, and (B,) its norm; 0 if constant."""
    inside = torch.where(mask, curve.detach().double(), 0.0)
    if not inside.isfinite().all():
        raise ValueError("a head's curve or its target is NaN or infinite; expected numbers")
    count = mask.sum(1, keepdim=True).clamp(min=1)
    off = torch.where(mask, inside - inside.sum(1, keepdim=True) / count, 0.0)
    norm = off.square().sum(1).sqrt()
    flat = norm <= FLAT * inside.abs().amax(1) * count[:, 0].sqrt()
    return off, torch.where(flat, 0.0, norm)

"""The feed-forward part that every layer ends with."""

from __future__ import annotations

from torch import nn


def feed_forward(dim: int, expansion: int, dropout: float) -> nn.Sequential:
    """Two affine maps with a GELU between, (…, D) to (…, D)."""
    return nn.Sequential(
        nn.Linear(dim, expansion * dim),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(expansion * dim, dim),
        nn.Dropout(dropout),
    )

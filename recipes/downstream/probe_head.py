"""Heads of probes: linear, or MARBLE's perceptron with one hidden layer."""

from __future__ import annotations

from typing import Literal

from torch import nn


def probe_head(
    probe: Literal["linear", "mlp"], dim: int, outputs: int, hidden: int, dropout: float
) -> nn.Module:
    """A module that maps (..., dim) to (..., outputs).

    Args:
        probe: ``linear``, or ``mlp`` with one hidden layer, as in MARBLE.
        dim: width of the features.
        outputs: number of logits.
        hidden: width of the hidden layer.
        dropout: dropout probability of the hidden layer.
    """
    if probe == "linear":
        return nn.Linear(dim, outputs)
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs))

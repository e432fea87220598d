"""The last step of a probe: linear, or MARBLE's perceptron of one hidden layer."""

from __future__ import annotations

from torch import nn


def probe_head(probe: str, dim: int, outputs: int, hidden: int = 512, dropout: float = 0.2) -> nn.Module:
    """A map of (..., dim) to (..., outputs).

    Args:
        probe: ``linear``, or ``mlp``: one hidden layer, as in MARBLE.
        dim: width of the features.
        outputs: width of what is said.
        hidden: width of the hidden layer.
        dropout: share of hidden activations dropped in training.

    Raises:
        ValueError: another name of a probe.
    """
    if probe == "linear":
        return nn.Linear(dim, outputs)
    if probe == "mlp":
        return nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
        )
    raise ValueError(f"unknown probe {probe!r}; expected linear or mlp")

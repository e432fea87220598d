"""The probe of a clip: features normalised, layers weighted, then linear or an MLP."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recipes.downstream.probe_head import probe_head

CONSTANT = 1e-6
"""A number that spreads by less than this share of its size says nothing, and is not scaled up."""


class ClipProbe(nn.Module):
    """Time-means of layers to logits, (N, L, D) to (N, K), by a learned softmax-weighted sum of the layers.

    Every number of every layer is brought to mean 0 and deviation 1 over the training slices first: the
    weights then weigh what layers say, and not how large their numbers are, and one learning rate suits
    features of any scale [O].

    Args:
        layers: L.
        dim: D.
        outputs: K, of the target.
        probe: ``linear`` or ``mlp``.
        hidden: width of the MLP.
        dropout: share of its hidden activations dropped in training.
    """

    mean: Tensor
    """(L, D) of the training slices."""
    deviation: Tensor
    """(L, D) of the training slices."""
    observed: Tensor
    """How many training slices these are taken from."""
    centre: Tensor
    """(K,) what is added to every logit; for values, their mean in training."""
    spread: Tensor
    """(K,) what every logit is multiplied by before; for values, their deviation in training."""

    def __init__(self, layers: int, dim: int, outputs: int, probe: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.head = probe_head(probe, dim, outputs, hidden, dropout)
        self.register_buffer("mean", torch.zeros(layers, dim))
        self.register_buffer("deviation", torch.ones(layers, dim))
        self.register_buffer("observed", torch.tensor(0))
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("spread", torch.ones(outputs))

    @torch.no_grad()
    def observe(self, means: Tensor) -> None:
        """Take (N, L, D) training slices into mean and deviation, besides those observed before."""
        mean, deviation = means.mean(0), means.std(0, correction=0)
        if self.observed > 0:
            share = len(means) / (self.observed + len(means))
            apart = mean - self.mean
            variance = (1 - share) * self.deviation**2 + share * deviation**2 + share * (1 - share) * apart**2
            mean, deviation = self.mean + share * apart, variance.sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.observed += len(means)

    def fit_scale(self, labels: NDArray[np.float32]) -> None:
        """Let logits of 0 mean the mean of (N, K) training values, and of 1 a deviation more."""
        self.centre.copy_(torch.from_numpy(labels.mean(0)))
        self.spread.copy_(torch.from_numpy(labels.std(0)))

    def forward(self, means: Tensor) -> Tensor:
        """(N, L, D) time-means of layers to (N, K) logits."""
        deviation = self.deviation.where(self.deviation > CONSTANT * self.mean.abs(), torch.inf)
        standard = (means.float() - self.mean) / deviation
        logits: Tensor = self.head((standard * self.weights.softmax(0)[:, None]).sum(1))
        return logits * self.spread + self.centre

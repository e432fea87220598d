"""The probe of a clip: features normalised, then linear or an MLP; or a weighted sum of layers first."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recipes.downstream.probe_head import probe_head

CONSTANT = 1e-6
"""A number that spreads by less than this share of its size says nothing, and is not blown up."""


class ClipProbe(nn.Module):
    """Time-means of features to logits, (N, D) to (N, K), as S3PRL's featurizer gives them.

    The normalisation is one mean and deviation per number, without a gain of its own, as in the probe of
    beat_tracking: one learning rate then suits features of any scale.

    Args:
        dim: D, width of the features.
        outputs: K, of the target.
        probe: ``linear`` or ``mlp``.
        hidden: width of the MLP.
        dropout: share of its hidden activations dropped in training.
    """

    def __init__(self, dim: int, outputs: int, probe: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.normalisation = nn.BatchNorm1d(dim, affine=False)
        self.head = ScaledHead(dim, outputs, probe, hidden, dropout)

    def forward(self, means: Tensor) -> Tensor:
        """(N, D) time-means to (N, K) logits."""
        # One clip has no deviation; in training it would be an error.
        self.normalisation.train(self.training and len(means) > 1)
        logits: Tensor = self.head(self.normalisation(means.float()))
        return logits


class LayeredProbe(nn.Module):
    """Time-means of layers to logits, (N, L, D) to (N, K), by a learned softmax-weighted sum of the layers.

    Every number of every layer is brought to mean 0 and deviation 1 over the training slices first, which
    are all at hand: the weights then weigh what layers say, and not how large their numbers are [O].

    Args:
        layers: L.
        dim: D.
        outputs: K, of the target.
        probe: ``linear`` or ``mlp``.
        hidden: width of the MLP.
        dropout: share of its hidden activations dropped in training.
    """

    mean: Tensor
    """(L, D)."""
    deviation: Tensor
    """(L, D)."""

    def __init__(self, layers: int, dim: int, outputs: int, probe: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.head = ScaledHead(dim, outputs, probe, hidden, dropout)
        self.register_buffer("mean", torch.zeros(layers, dim))
        self.register_buffer("deviation", torch.ones(layers, dim))

    def fit_features(self, means: Tensor) -> None:
        """Take mean and deviation from the (N, L, D) training slices."""
        self.mean.copy_(means.mean(0))
        deviation = means.std(0, correction=0)
        self.deviation.copy_(deviation.where(deviation > CONSTANT * self.mean.abs(), torch.inf))

    def forward(self, means: Tensor) -> Tensor:
        """(N, L, D) time-means of layers to (N, K) logits."""
        standard = (means.float() - self.mean) / self.deviation
        logits: Tensor = self.head((standard * self.weights.softmax(0)[:, None]).sum(1))
        return logits


class ScaledHead(nn.Module):
    """The last step, (N, D) to (N, K), in units of the target."""

    centre: Tensor
    """(K,) what is added to every logit; for values, their mean in training."""
    spread: Tensor
    """(K,) what every logit is multiplied by before; for values, their deviation in training."""

    def __init__(self, dim: int, outputs: int, probe: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.head = probe_head(probe, dim, outputs, hidden, dropout)
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("spread", torch.ones(outputs))

    def fit_scale(self, labels: NDArray[np.float32]) -> None:
        """Let logits of 0 mean the mean of (N, K) training values, and of 1 a deviation more."""
        self.centre.copy_(torch.from_numpy(labels.mean(0)))
        self.spread.copy_(torch.from_numpy(labels.std(0)))

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) to (N, K)."""
        logits: Tensor = self.head(features) * self.spread + self.centre
        return logits

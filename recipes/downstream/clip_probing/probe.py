"""The probe of a clip: a weighted sum of layers, normalised, then linear or an MLP."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recipes.downstream.probe_head import probe_head


class ClipProbe(nn.Module):
    """Time-means of features to logits.

    The normalisation is one mean and deviation per number, without a gain of its own, as in the probe of
    beat_tracking: one learning rate then suits features of any scale.

    Args:
        dim: D, width of the features.
        outputs: K, of the target.
        probe: ``linear`` or ``mlp``.
        hidden: width of the MLP.
        dropout: share of its hidden activations dropped in training.
    """

    centre: Tensor
    """(K,) what is added to every logit; for values, their mean in training."""
    spread: Tensor
    """(K,) what every logit is multiplied by before; for values, their deviation in training."""

    def __init__(self, dim: int, outputs: int, probe: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.normalisation = nn.BatchNorm1d(dim, affine=False)
        self.head = probe_head(probe, dim, outputs, hidden, dropout)
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("spread", torch.ones(outputs))

    def fit_scale(self, labels: NDArray[np.float32]) -> None:
        """Let logits of 0 mean the mean of (N, K) training values, and of 1 a deviation more."""
        self.centre.copy_(torch.from_numpy(labels.mean(0)))
        self.spread.copy_(torch.from_numpy(labels.std(0)))

    def forward(self, means: Tensor) -> Tensor:
        """(N, D) time-means to (N, K) logits."""
        # One clip has no deviation; in training it would be an error.
        frozen = self.training and len(means) < 2
        self.normalisation.train(self.training and not frozen)
        logits: Tensor = self.head(self.normalisation(means.float())) * self.spread + self.centre
        return logits


class LayeredProbe(nn.Module):
    """The same, with the learned weighted sum over layers that S3PRL's featurizer makes.

    A weighted sum and a mean over time can change places, so time-means of layers, which are kept, give what
    the featurizer of a whole run would.
    """

    def __init__(self, layers: int, probe: ClipProbe) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.probe = probe

    def forward(self, means: Tensor) -> Tensor:
        """(N, L, D) time-means of layers to (N, K) logits."""
        logits: Tensor = self.probe((means.float() * self.weights.softmax(0)[:, None]).sum(1))
        return logits

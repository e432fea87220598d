"""The probe of a clip, and its training on cached features with MARBLE's protocol.

Softmax-weighted layers, means over time, a linear map or an MLP with one hidden layer of 512 and dropout 0.2;
Adam, batches of 64, the learning rate halved on a plateau, one of five learning rates selected on dev. MARBLE
does not give the patience; ours is [O].
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from recipes.downstream.clip_probing.clips import Clip, ClipData, labels
from recipes.downstream.clip_probing.features import ClipFeatures
from recipes.downstream.clip_probing.predictions import Predictions, clip_predictions
from recipes.downstream.clip_probing.settings import ModelSettings
from recipes.downstream.clip_probing.targets import Target, Values
from recipes.downstream.probe_head import probe_head

MIN_RELATIVE_DEVIATION = 1e-6
"""Features whose deviation is below this share of their mean are constant and set to 0."""


class ClipProbe(nn.Module):
    """Maps (N, L, D) means of layers to (N, K) logits by a learned softmax-weighted sum of the layers.

    The features of every layer are first standardised over the training slices, so that neither the weights
    nor the learning rate depend on their scale [O].

    Args:
        layers: number of layers, L.
        dim: width of the features, D.
        outputs: number of logits, K.
        settings: kind and size of the head.
    """

    mean: Tensor
    """(L, D) mean over the training slices."""
    deviation: Tensor
    """(L, D) standard deviation over the training slices."""
    observed: Tensor
    """Number of training slices so far."""
    centre: Tensor
    """(K,) offset of the logits: the mean of training values, otherwise 0."""
    spread: Tensor
    """(K,) scale of the logits: the standard deviation of training values, otherwise 1."""

    def __init__(self, layers: int, dim: int, outputs: int, settings: ModelSettings) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.head = probe_head(settings.probe, dim, outputs, settings.hidden, settings.dropout)
        self.register_buffer("mean", torch.zeros(layers, dim))
        self.register_buffer("deviation", torch.ones(layers, dim))
        self.register_buffer("observed", torch.tensor(0))
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("spread", torch.ones(outputs))

    @torch.no_grad()
    def observe(self, means: Tensor) -> None:
        """Update mean and deviation with (N, L, D) training slices."""
        mean, deviation = means.mean(0), means.std(0, correction=0)
        if self.observed > 0:
            share = len(means) / (self.observed + len(means))
            difference = mean - self.mean
            variance = (
                (1 - share) * self.deviation**2 + share * deviation**2 + share * (1 - share) * difference**2
            )
            mean, deviation = self.mean + share * difference, variance.sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.observed += len(means)

    def fit_scale(self, labels: NDArray[np.float32]) -> None:
        """Set offset and scale of the logits from (N, K) training values."""
        self.centre.copy_(torch.from_numpy(labels.mean(0)))
        self.spread.copy_(torch.from_numpy(labels.std(0)))

    def forward(self, means: Tensor) -> Tensor:
        """(N, K) logits of (N, L, D) means of layers over time."""
        deviation = self.deviation.where(self.deviation > MIN_RELATIVE_DEVIATION * self.mean.abs(), torch.inf)
        standardised = (means.float() - self.mean) / deviation
        logits: Tensor = self.head((standardised * self.weights.softmax(0)[:, None]).sum(1))
        return logits * self.spread + self.centre


LEARNING_RATES = (1e-2, 5e-3, 1e-3, 5e-4, 1e-4)

BATCH_SIZE = 64
"""Slices per step."""

MAX_EPOCHS = 200

PATIENCE = 5
"""Epochs without improvement on dev after which the learning rate is halved."""

STOP_PATIENCE = 20
"""Epochs without improvement on dev after which training ends."""


@dataclass(frozen=True)
class TrainedProbe:
    """The best probe on dev."""

    probe: ClipProbe
    learning_rate: float
    dev: float
    """First measure of the target on dev."""
    epochs: int
    """Epoch of the best score on dev."""


def train(
    features: Mapping[str, Sequence[ClipFeatures]],
    data: ClipData,
    model: ModelSettings,
    seed: int,
    learning_rates: Sequence[float] = LEARNING_RATES,
) -> TrainedProbe:
    """Train a probe with each learning rate; returns the best on dev.

    Args:
        features: features of the clips of train and dev, in the order of the data set.
        data: the data set.
        model: settings of the probe.
        seed: seed of initialisation, dropout and order of slices.
        learning_rates: learning rates to try.
    """
    probes = [_train_at(features, data, model, seed, rate) for rate in learning_rates]
    return max(probes, key=lambda trained: trained.dev)


def predict(
    probe: ClipProbe, features: Sequence[ClipFeatures], clips: Sequence[Clip], target: Target
) -> Predictions:
    """Predictions of a probe for clips from their features."""
    probe.eval()
    with torch.inference_mode():
        logits = probe(torch.cat([clip.means for clip in features]))
    counts = torch.tensor([len(clip.means) for clip in features])
    owner = torch.arange(len(clips)).repeat_interleave(counts)
    return clip_predictions(logits, torch.cat([clip.frames for clip in features]), owner, clips, target)


def _train_at(
    features: Mapping[str, Sequence[ClipFeatures]],
    data: ClipData,
    model: ModelSettings,
    seed: int,
    rate: float,
) -> TrainedProbe:
    target, clips = data.target, data.splits["train"]
    means, references = _slices(features["train"], clips)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers, dim = means.shape[1:]
        probe = ClipProbe(layers, dim, len(target.names), model)
        probe.observe(means)
        if isinstance(target, Values):
            probe.fit_scale(labels(clips))
        optimizer = torch.optim.Adam(probe.parameters(), lr=rate)
        scheduler = ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=PATIENCE)
        best, best_state, best_epoch = -np.inf, copy.deepcopy(probe.state_dict()), 0
        for epoch in range(1, MAX_EPOCHS + 1):
            probe.train()
            for batch in torch.randperm(len(means)).split(BATCH_SIZE):
                optimizer.zero_grad()
                target.loss(probe(means[batch]), references[batch]).backward()
                optimizer.step()
            predictions = predict(probe, features["dev"], data.splits["dev"], target)
            score = float(
                np.nan_to_num(target.scores(predictions.values, predictions.labels)[0], nan=-np.inf)
            )
            scheduler.step(score)
            if score > best:
                best, best_state, best_epoch = score, copy.deepcopy(probe.state_dict()), epoch
            elif epoch - best_epoch >= STOP_PATIENCE:
                break
    probe.load_state_dict(best_state)
    return TrainedProbe(probe.eval(), rate, best, best_epoch)


def _slices(features: Sequence[ClipFeatures], clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """(N, L, D) means and (N,) or (N, K) labels of all slices."""
    counts = torch.tensor([len(clip.means) for clip in features])
    references = torch.from_numpy(labels(clips)).repeat_interleave(counts, 0)
    return torch.cat([clip.means for clip in features]), references

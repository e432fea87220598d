"""The probe of a clip, and its training on cached features by MARBLE's protocol.

Softmax-weighted layers, time-means, linear or an MLP of one hidden layer of 512 with dropout 0.2; Adam,
batches of 64, the learning rate halved on a plateau, five learning rates to choose from by dev. How long to
wait for a better dev score is not said there; those numbers are ours [O].
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
        settings: of the probe.
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


LEARNING_RATES = (1e-2, 5e-3, 1e-3, 5e-4, 1e-4)

BATCH = 64
"""Slices a step."""

EPOCHS = 200
"""At most."""

PATIENCE = 5
"""Epochs without a better dev score after which the learning rate is halved."""

STOP = 20
"""Epochs without a better dev score after which training ends."""


@dataclass(frozen=True)
class Trained:
    """A probe as it did best on dev."""

    probe: ClipProbe
    learning_rate: float
    dev: float
    """The target's first measure on dev."""
    epochs: int
    """After how many it was that."""


def train(
    features: Mapping[str, Sequence[ClipFeatures]],
    data: ClipData,
    model: ModelSettings,
    seed: int,
    learning_rates: Sequence[float] = LEARNING_RATES,
) -> Trained:
    """The best probe by dev over the learning rates; test is not looked at.

    Args:
        features: of the clips of train and dev, in the data set's order.
        data: the data set.
        model: the probe.
        seed: of its initialisation, of dropout and of the order of slices.
        learning_rates: to choose from.
    """
    tried = [_train_at(features, data, model, seed, rate) for rate in learning_rates]
    return max(tried, key=lambda trained: trained.dev)


def predict(
    probe: ClipProbe, features: Sequence[ClipFeatures], clips: Sequence[Clip], target: Target
) -> Predictions:
    """What a probe predicts of clips from their features."""
    probe.eval()
    with torch.inference_mode():
        logits = probe(torch.cat([one.means for one in features]))
    counts = torch.tensor([len(one.means) for one in features])
    owner = torch.arange(len(clips)).repeat_interleave(counts)
    return clip_predictions(logits, torch.cat([one.frames for one in features]), owner, clips, target)


def _train_at(
    features: Mapping[str, Sequence[ClipFeatures]],
    data: ClipData,
    model: ModelSettings,
    seed: int,
    rate: float,
) -> Trained:
    target, clips = data.target, data.splits["train"]
    means, truth = _slices(features["train"], clips)
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
        for epoch in range(1, EPOCHS + 1):
            probe.train()
            for batch in torch.randperm(len(means)).split(BATCH):
                optimizer.zero_grad()
                target.loss(probe(means[batch]), truth[batch]).backward()
                optimizer.step()
            found = predict(probe, features["dev"], data.splits["dev"], target)
            score = float(np.nan_to_num(target.scores(found.values, found.labels)[0], nan=-np.inf))
            scheduler.step(score)
            if score > best:
                best, best_state, best_epoch = score, copy.deepcopy(probe.state_dict()), epoch
            elif epoch - best_epoch >= STOP:
                break
    probe.load_state_dict(best_state)
    return Trained(probe.eval(), rate, best, best_epoch)


def _slices(features: Sequence[ClipFeatures], clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """(N, L, D) means of all slices, and their (N,) or (N, K) labels."""
    counts = torch.tensor([len(one.means) for one in features])
    truth = torch.from_numpy(labels(clips)).repeat_interleave(counts, 0)
    return torch.cat([one.means for one in features]), truth

"""Probes: maps from features to logits of beat and downbeat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recipes.downstream.beat_tracking.settings import ModelSettings
from recipes.downstream.probe_head import probe_head

OUTPUTS = 2
"""Logits per frame: beat, downbeat."""


class Probe(nn.Module):
    """Normalisation of the features and a linear, MLP or convolutional head.

    The normalisation has no learned gain, so the linear probe is one affine map per frame, and the learning
    rate does not depend on the scale of the features.

    Args:
        dim: width of the features, D.
        frame_rate: frames per second.
        settings: kind and size of the head.
    """

    def __init__(self, dim: int, frame_rate: float, settings: ModelSettings) -> None:
        super().__init__()
        self.normalisation = nn.BatchNorm1d(dim, affine=False) if settings.normalise else nn.Identity()
        self.head: nn.Module
        if settings.probe == "conv":
            kernel_size = 2 * round(settings.conv_seconds * frame_rate / 2) + 1
            self.head = ConvHead(dim, settings.conv_channels, kernel_size, settings.dropout)
        else:
            self.head = probe_head(settings.probe, dim, OUTPUTS, settings.hidden, settings.dropout)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """(T_i, 2) logits of clips from their (T_i, D) features."""
        lengths = [len(feature) for feature in features]
        frames = self.normalisation(torch.cat(list(features)).float())
        if isinstance(self.head, ConvHead):
            return [self.head(clip) for clip in torch.split(frames, lengths)]
        return list(torch.split(self.head(frames), lengths))


class ConvHead(nn.Module):
    """Two convolutions over time."""

    def __init__(self, dim: int, channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(dim, channels, kernel_size, padding=kernel_size // 2)
        self.second = nn.Conv1d(channels, OUTPUTS, kernel_size, padding=kernel_size // 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, clip: Tensor) -> Tensor:
        """(T, 2) logits of a clip from its (T, D) features."""
        hidden = self.dropout(F.relu(self.first(clip.T[None])))
        logits: Tensor = self.second(hidden)
        return logits[0].T

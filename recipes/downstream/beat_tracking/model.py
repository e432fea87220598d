"""Probes: what turns the features of a frame into a beat and a downbeat logit."""

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
    """Normalised features, then a linear, MLP or convolutional map to logits.

    The normalisation is one mean and deviation per feature, without a gain of its own: with it the
    linear probe stays one affine map a frame, and one learning rate suits features of any scale.

    Args:
        dim: D, numbers per frame.
        frame_rate: frames a second.
        settings: kind and sizes.
    """

    def __init__(self, dim: int, frame_rate: float, settings: ModelSettings) -> None:
        super().__init__()
        self.normalisation = nn.BatchNorm1d(dim, affine=False) if settings.normalise else nn.Identity()
        self.head: nn.Module
        if settings.probe == "conv":
            taps = 2 * round(settings.conv_seconds * frame_rate / 2) + 1
            self.head = ConvHead(dim, settings.conv_channels, taps, settings.dropout)
        else:
            self.head = probe_head(settings.probe, dim, OUTPUTS, settings.hidden, settings.dropout)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of clips, (T_i, D) each, to logits, (T_i, 2) each; no clip touches another."""
        lengths = [len(feature) for feature in features]
        frames = self.normalisation(torch.cat(list(features)).float())
        if isinstance(self.head, ConvHead):
            return [self.head(clip) for clip in torch.split(frames, lengths)]
        return list(torch.split(self.head(frames), lengths))


class ConvHead(nn.Module):
    """Two convolutions in time over one clip, (T, D) to (T, 2)."""

    def __init__(self, dim: int, channels: int, taps: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(dim, channels, taps, padding=taps // 2)
        self.second = nn.Conv1d(channels, OUTPUTS, taps, padding=taps // 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, clip: Tensor) -> Tensor:
        """(T, D) to (T, 2)."""
        hidden = self.dropout(F.relu(self.first(clip.T[None])))
        logits: Tensor = self.second(hidden)
        return logits[0].T

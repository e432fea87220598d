"""The frame trunks [O]: features every 20 ms with a view of seconds, and no grid.

S3PRL's tasks need features per frame, and a representation that is given the beat grid has no
reason to find the beat itself; so the trunk does not see the grid.

The layers of :class:`BottleneckTrunk` narrow the features to half, look to both sides with a dilated
convolution, and widen them again. Dense convolutions run near a processor's peak rate, which depthwise ones
and normalisation do not: it trains about four times as fast as :class:`FrameTrunk`, the trunk of the first
weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.tracking.frontend import length_mask


class BottleneckTrunk(nn.Module):
    """A convolution over pairs of mel frames, then dilated residual bottlenecks."""

    def __init__(self, config: MusicTowerConfig) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2 * config.n_mels, config.dim, 3, padding=1)
        self.layers = nn.ModuleList(
            BottleneckLayer(config.dim, config.trunk_kernel, dilation) for dilation in config.trunk_dilations
        )

    def forward(self, log_mel: Tensor, mel_lengths: Tensor) -> list[Tensor]:
        """Frames from mel frames.

        Args:
            log_mel: (B, 2F, n_mels), 0 beyond a clip's frames.
            mel_lengths: (B,) mel frames of each clip, even.

        Returns:
            The stem's output and every layer's, each (B, F, D) and 0 beyond a clip's frames.
        """
        # Padding is set to 0 after each layer: a convolution sees at a clip's end what it would see if the
        # clip were alone.
        mask = length_mask(mel_lengths, log_mel.shape[1])[:, None, None, ::2]
        x = F.gelu(convolved(self.stem, channels_last(log_mel.unflatten(1, (-1, 2)).flatten(2)))) * mask
        states = [frames(x)]
        for layer in self.layers:
            x = layer(x) * mask
            states.append(frames(x))
        return states


class BottleneckLayer(nn.Module):
    """A dilated convolution to half the width and a projection back, with a residual path."""

    def __init__(self, dim: int, kernel: int, dilation: int) -> None:
        super().__init__()
        reach = dilation * (kernel - 1) // 2
        self.narrow = nn.Conv1d(dim, dim // 2, kernel, padding=reach, dilation=dilation)
        self.widen = nn.Conv1d(dim // 2, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, 1, F) to (B, D, 1, F), as :func:`channels_last` lays them out."""
        return x + convolved(self.widen, F.gelu(convolved(self.narrow, x)))


def channels_last(x: Tensor) -> Tensor:
    """(B, F, D) frames as the (B, D, 1, F) that :func:`convolved` takes, without a copy."""
    return x.transpose(1, 2)[:, :, None]


def frames(x: Tensor) -> Tensor:
    """The (B, F, D) frames of (B, D, 1, F), without a copy."""
    return x[:, :, 0].transpose(1, 2)


def convolved(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over the last dimension of (B, D, 1, F).

    torch keeps the channels last in memory in two dimensions only; in one it copies them to and fro, which
    takes a sixth to a quarter of a trunk's time in training. Without gradients it is a tenth, and the
    features of released weights stay the same to the last bit.
    """
    if not torch.is_grad_enabled():
        out: Tensor = layer(x[:, :, 0])[:, :, None]
        return out
    assert isinstance(layer.padding, tuple)
    weight, reach = layer.weight[:, :, None], (0, *layer.padding)
    return F.conv2d(x, weight, layer.bias, padding=reach, dilation=(1, *layer.dilation))


class FrameTrunk(nn.Module):
    """Strided convolutions to 50 Hz, then dilated depthwise layers; called as :class:`BottleneckTrunk` is."""

    def __init__(self, config: MusicTowerConfig) -> None:
        super().__init__()
        self.stem = nn.Conv1d(config.n_mels, config.dim, 5, padding=2)
        # Four taps, two to a side of the middle of mel frames 2k and 2k + 1: no shift in time.
        self.halve = nn.Conv1d(config.dim, config.dim, 4, stride=2, padding=1)
        self.norm = nn.LayerNorm(config.dim)
        self.layers = nn.ModuleList(
            DilatedLayer(config.dim, config.trunk_kernel, dilation, config.expansion, config.dropout)
            for dilation in config.trunk_dilations
        )

    def forward(self, log_mel: Tensor, mel_lengths: Tensor) -> list[Tensor]:
        """Frames from mel frames."""
        mel_mask = length_mask(mel_lengths, log_mel.shape[1])[..., None]
        mask = mel_mask[:, ::2]
        x = F.gelu(self.stem(log_mel.transpose(1, 2))) * mel_mask.transpose(1, 2)
        x = self.norm(self.halve(x).transpose(1, 2)) * mask
        states = [x]
        for layer in self.layers:
            x = layer(x) * mask
            states.append(x)
        return states


class DilatedLayer(nn.Module):
    """A depthwise dilated convolution and a feed-forward part, with a residual path.

    The block of ConvNeXt (Liu et al. 2022) in one dimension, dilated.
    """

    def __init__(self, dim: int, kernel: int, dilation: int, expansion: int, dropout: float) -> None:
        super().__init__()
        reach = dilation * (kernel - 1) // 2
        self.look = nn.Conv1d(dim, dim, kernel, padding=reach, dilation=dilation, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = feed_forward(dim, expansion, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, D) to (B, F, D)."""
        out: Tensor = x + self.feed_forward(self.norm(self.look(x.transpose(1, 2)).transpose(1, 2)))
        return out


def feed_forward(dim: int, expansion: int, dropout: float) -> nn.Sequential:
    """Two affine maps with a GELU between, (…, D) to (…, D)."""
    return nn.Sequential(
        nn.Linear(dim, expansion * dim),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(expansion * dim, dim),
        nn.Dropout(dropout),
    )

"""The frame trunks [O]: features every 20 ms with a receptive field of seconds.

S3PRL's tasks need features per frame. The trunk does not see the beat grid, because a representation that is
given the grid need not learn to estimate it.

The layers of :class:`BottleneckTrunk` are dilated convolutions to half the width with a projection back.
Dense convolutions run near a processor's peak rate, depthwise ones and normalisation do not: this trunk
trains about four times as fast as :class:`FrameTrunk`, the trunk of the first weights.
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
        """Compute frames from mel frames.

        Args:
            log_mel: (B, 2F, n_mels), 0 beyond a clip's frames.
            mel_lengths: (B,) mel frames of each clip, even.

        Returns:
            The outputs of the stem and of each layer, each (B, F, D) and 0 beyond a clip's frames.
        """
        # Padding is set to 0 after each layer, so that a clip's end does not depend on the batch.
        mask = length_mask(mel_lengths, log_mel.shape[1])[:, None, None, ::2]
        x = F.gelu(convolve(self.stem, to_channels_first(log_mel.unflatten(1, (-1, 2)).flatten(2)))) * mask
        states = [to_frames(x)]
        for layer in self.layers:
            x = layer(x) * mask
            states.append(to_frames(x))
        return states


class BottleneckLayer(nn.Module):
    """A dilated convolution to half the width and a projection back, with a residual path."""

    def __init__(self, dim: int, kernel: int, dilation: int) -> None:
        super().__init__()
        reach = dilation * (kernel - 1) // 2
        self.narrow = nn.Conv1d(dim, dim // 2, kernel, padding=reach, dilation=dilation)
        self.widen = nn.Conv1d(dim // 2, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, 1, F) to (B, D, 1, F); see :func:`to_channels_first`."""
        return x + convolve(self.widen, F.gelu(convolve(self.narrow, x)))


def frame_states(
    trunk: nn.Module, config: MusicTowerConfig, log_mel: Tensor, mel_lengths: Tensor
) -> list[Tensor]:
    """States of the front end, if the configuration has it, and of the trunk, each (B, F, D)."""
    states: list[Tensor] = trunk(log_mel, mel_lengths)
    return [front_end_layer(log_mel, config.dim), *states] if config.front_end_layer else states


def front_end_layer(log_mel: Tensor, dim: int) -> Tensor:
    """View (B, 2F, n_mels) log-mel at 100 Hz as (B, F, dim) frames at 50 Hz: two frames each, then zeros."""
    pairs = log_mel.unflatten(1, (-1, 2)).flatten(2)
    return F.pad(pairs, (0, dim - pairs.shape[-1]))


def to_channels_first(x: Tensor) -> Tensor:
    """View (B, F, D) frames as (B, D, 1, F), the input of :func:`convolve`."""
    return x.transpose(1, 2)[:, :, None]


def to_frames(x: Tensor) -> Tensor:
    """View (B, D, 1, F) as (B, F, D) frames."""
    return x[:, :, 0].transpose(1, 2)


def convolve(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """Apply a convolution along the last dimension of (B, D, 1, F).

    With gradients it runs in two dimensions, where torch accepts inputs with the channels last in memory. In
    one dimension torch copies them, which takes a sixth to a quarter of a trunk's time in training. Without
    gradients the copies take a tenth, and one dimension keeps the features of released weights bit-identical.
    """
    if not torch.is_grad_enabled():
        out: Tensor = layer(x[:, :, 0])[:, :, None]
        return out
    assert isinstance(layer.padding, tuple)
    weight, reach = layer.weight[:, :, None], (0, *layer.padding)
    return F.conv2d(x, weight, layer.bias, padding=reach, dilation=(1, *layer.dilation))


class FrameTrunk(nn.Module):
    """Strided convolutions to 50 Hz, then dilated depthwise layers; same interface as
    :class:`BottleneckTrunk`."""

    def __init__(self, config: MusicTowerConfig) -> None:
        super().__init__()
        self.stem = nn.Conv1d(config.n_mels, config.dim, 5, padding=2)
        # Four taps, centred between mel frames 2k and 2k + 1: no shift in time.
        self.halve = nn.Conv1d(config.dim, config.dim, 4, stride=2, padding=1)
        self.norm = nn.LayerNorm(config.dim)
        self.layers = nn.ModuleList(
            DilatedLayer(config.dim, config.trunk_kernel, dilation, config.expansion, config.dropout)
            for dilation in config.trunk_dilations
        )

    def forward(self, log_mel: Tensor, mel_lengths: Tensor) -> list[Tensor]:
        """Compute frames from mel frames."""
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

    This is the block of ConvNeXt (Liu et al. 2022) in one dimension, dilated.
    """

    def __init__(self, dim: int, kernel: int, dilation: int, expansion: int, dropout: float) -> None:
        super().__init__()
        reach = dilation * (kernel - 1) // 2
        self.look = nn.Conv1d(dim, dim, kernel, padding=reach, dilation=dilation, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = feed_forward(dim, expansion, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, F, D) to (B, F, D)."""
        out: Tensor = x + self.feed_forward(self.norm(self.look(x.transpose(1, 2)).transpose(1, 2)))
        return out


def feed_forward(dim: int, expansion: int, dropout: float) -> nn.Sequential:
    """Two linear layers with a GELU between them, (…, D) to (…, D)."""
    return nn.Sequential(
        nn.Linear(dim, expansion * dim),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(expansion * dim, dim),
        nn.Dropout(dropout),
    )

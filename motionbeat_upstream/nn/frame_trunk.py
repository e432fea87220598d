"""The frame trunk [O]: features every 20 ms with a view of several seconds, and no grid.

S3PRL's tasks need features per frame, and a representation that is handed the beat grid has no
reason to find the beat itself; so the trunk sees none.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionbeat_upstream.beats.frontend import length_mask
from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.nn.feed_forward import feed_forward


class FrameTrunk(nn.Module):
    """Strided convolutions to 50 Hz, then dilated residual convolutions."""

    def __init__(self, config: MusicTowerConfig) -> None:
        super().__init__()
        self.stem = nn.Conv1d(config.n_mels, config.dim, 5, padding=2)
        # Four taps, two to a side of the middle of mel frames 2k and 2k + 1: no shift in time.
        self.halve = nn.Conv1d(config.dim, config.dim, 4, stride=2, padding=1)
        self.activation = nn.GELU()
        self.norm = nn.LayerNorm(config.dim)
        self.layers = nn.ModuleList(
            DilatedLayer(config.dim, config.trunk_kernel, dilation, config.expansion, config.dropout)
            for dilation in config.trunk_dilations
        )

    def forward(self, log_mel: Tensor, mel_lengths: Tensor) -> list[Tensor]:
        """Frames from mel frames.

        Args:
            log_mel: (B, 2F, n_mels), 0 beyond a clip's frames.
            mel_lengths: (B,) mel frames of each clip, even.

        Returns:
            The stem's output and every layer's, each (B, F, D) and 0 beyond a clip's frames.
        """
        # Padding is set to 0 after each step, so that a convolution meets at a clip's end what
        # it would meet were the clip alone.
        mel_mask = length_mask(mel_lengths, log_mel.shape[1])[..., None]
        mask = mel_mask[:, ::2]
        x = self.activation(self.stem(log_mel.transpose(1, 2))) * mel_mask.transpose(1, 2)
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
        seen: Tensor = self.norm(self.look(x.transpose(1, 2)).transpose(1, 2))
        out: Tensor = x + self.feed_forward(seen)
        return out

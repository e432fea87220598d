"""The frame trunk of dense convolutions [O]: features every 20 ms with a view of ten seconds, and no grid.

Each layer narrows the features to half, looks to both sides with a dilated convolution, and widens them
again. Dense convolutions run near a processor's peak rate, which depthwise ones and normalisation do not: it
trains about four times as fast as :mod:`~motionbeat_upstream.nn.frame_trunk`, the trunk of the first weights.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from motionbeat_upstream.beats.frontend import length_mask
from motionbeat_upstream.config import MusicTowerConfig


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
        mask = length_mask(mel_lengths, log_mel.shape[1])[:, None, ::2]
        pairs = log_mel.unflatten(1, (-1, 2)).flatten(2).transpose(1, 2)
        x = F.gelu(self.stem(pairs)) * mask
        states = [x.transpose(1, 2)]
        for layer in self.layers:
            x = layer(x) * mask
            states.append(x.transpose(1, 2))
        return states


class BottleneckLayer(nn.Module):
    """A dilated convolution to half the width and a projection back, with a residual path."""

    def __init__(self, dim: int, kernel: int, dilation: int) -> None:
        super().__init__()
        reach = dilation * (kernel - 1) // 2
        self.narrow = nn.Conv1d(dim, dim // 2, kernel, padding=reach, dilation=dilation)
        self.widen = nn.Conv1d(dim // 2, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, F) to (B, D, F)."""
        widened: Tensor = self.widen(F.gelu(self.narrow(x)))
        return x + widened

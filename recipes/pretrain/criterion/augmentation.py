"""Random augmentation of log-mel spectrograms that preserves the rhythm [O].

Each clip is shifted by a few bands (pitch or formants), tilted (equaliser), and masked in a range of bands.
The onset envelope and the grid are those of the unchanged sound.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from motion_data.settings import CONFIG, Natural, NotNegative, Share


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class AugmentationSettings:
    """Strength of each change; 0 disables it."""

    shift: Natural = 3
    """Maximum shift up or down, in bands."""
    tilt: NotNegative = 0.3
    """Standard deviation of the tilt at the highest band, in units of the log-mel; the lowest band changes by
    the opposite amount."""
    level: NotNegative = 0.2
    """Standard deviation of the gain of all bands, in units of the log-mel."""
    masked: Share = 0.5
    """Share of clips with a frequency mask."""
    mask_bands: Natural = 24
    """Maximum width of the mask, in bands."""


def augment(log_mel: Tensor, settings: AugmentationSettings) -> Tensor:
    """Augment a (B, F, M) log-mel; random numbers come from torch's default generator on the CPU."""
    size, _, bands = log_mel.shape
    band = torch.arange(bands)
    shift = torch.randint(-settings.shift, settings.shift + 1, (size, 1))
    source = (band - shift).clamp(0, bands - 1).to(log_mel.device)
    shifted = log_mel.gather(2, source[:, None].expand(log_mel.shape))
    tilt = settings.tilt * torch.randn(size, 1) * torch.linspace(-1, 1, bands)
    gain = tilt + settings.level * torch.randn(size, 1)
    width = (torch.rand(size, 1) * (settings.mask_bands + 1)).floor() * (
        torch.rand(size, 1) < settings.masked
    )
    first = (torch.rand(size, 1) * (bands - width + 1)).floor()
    mask = (band >= first) & (band < first + width)
    augmented = shifted + gain.to(log_mel.device)[:, None]
    return augmented.masked_fill(mask.to(log_mel.device)[:, None], 0.0)

"""Random changes of the log-mel in training, which leave the rhythm as it is [O].

Each clip is moved by a few bands (another pitch or formant), tilted (another equaliser), and loses a band of
frequencies. The onset envelope and the grid are those of the unchanged sound.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from motion_data.settings import CONFIG, Natural, NotNegative, Share


@dataclass(config=CONFIG, frozen=True, kw_only=True)
class AugmentationSettings:
    """How much is changed; 0 leaves a change out."""

    shift: Natural = 3
    """Bands that a clip is moved up or down, at most."""
    tilt: NotNegative = 0.3
    """Standard deviation of the change at the highest band, in units of the log-mel; the lowest changes by as
    much the other way."""
    level: NotNegative = 0.2
    """Standard deviation of a change of all bands."""
    masked: Share = 0.5
    """Share of the clips that lose a band of frequencies."""
    mask_bands: Natural = 24
    """Width of that band, at most."""


def augment(log_mel: Tensor, settings: AugmentationSettings) -> Tensor:
    """A changed (B, F, M) log-mel; the draws come from torch's default generator on the CPU."""
    size, _, bands = log_mel.shape
    band = torch.arange(bands)
    shift = torch.randint(-settings.shift, settings.shift + 1, (size, 1))
    source = (band - shift).clamp(0, bands - 1).to(log_mel.device)
    moved = log_mel.gather(2, source[:, None].expand(log_mel.shape))
    slope = settings.tilt * torch.randn(size, 1) * torch.linspace(-1, 1, bands)
    change = slope + settings.level * torch.randn(size, 1)
    width = (torch.rand(size, 1) * (settings.mask_bands + 1)).floor() * (
        torch.rand(size, 1) < settings.masked
    )
    first = (torch.rand(size, 1) * (bands - width + 1)).floor()
    hidden = (band >= first) & (band < first + width)
    changed = moved + change.to(log_mel.device)[:, None]
    return changed.masked_fill(hidden.to(log_mel.device)[:, None], 0.0)

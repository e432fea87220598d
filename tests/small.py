"""A small tower and a made piece of music, for tests."""

import torch
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE, MusicTowerConfig

SMALL = MusicTowerConfig(
    arch="small", dim=32, heads=2, token_layers=2, trunk_dilations=(1, 4), embedding_dim=8
)
"""The tiny architecture's parts, narrow enough for a test."""


def music(seconds: float, bpm: float, seed: int) -> Tensor:
    """Made: decaying noise bursts on the beats, louder on downbeats, over a chord and some noise."""
    generator = torch.Generator().manual_seed(seed)
    count = max(1, round(seconds * SAMPLE_RATE))
    time = torch.arange(count) / SAMPLE_RATE
    wav = 0.01 * torch.randn(count, generator=generator)
    for pitch in (220.0, 277.2, 329.6):
        wav += 0.05 * torch.sin(2 * torch.pi * pitch * time)
    for beat in range(int(seconds * bpm / 60) + 1):
        after = time - beat * 60 / bpm
        burst = torch.randn(count, generator=generator) * torch.exp(-after.clamp(min=0) * 40) * (after >= 0)
        wav += (0.6 if beat % 4 == 0 else 0.3) * burst
    return wav

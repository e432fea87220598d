"""Heads on the frame trunk: beats, downbeats, position in the bar, metre and tempo of each frame [O].

They see no grid. Each is linear, so that what they tell must be plain in the trunk's last state, which probes
and the frame-level contrast see as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

METRES = (2, 3, 4, 5, 6, 7)
"""Beats a bar that are told apart."""

SLOWEST, FASTEST, TEMPO_CLASSES = 40.0, 240.0, 32
"""Range of tempi in beats per minute, and their number: evenly spaced in the logarithm, 6 % apart."""

OUTPUTS = {"beat": 1, "downbeat": 1, "position": max(METRES), "metre": len(METRES), "tempo": TEMPO_CLASSES}
"""Number of logits of each head."""


@dataclass(frozen=True)
class BeatLogits:
    """Logits of the heads at 50 Hz; what lies beyond a clip's end does not matter."""

    beat: Tensor
    """(B, F) of a beat, downbeats included."""
    downbeat: Tensor
    """(B, F) of a downbeat."""
    position: Tensor
    """(B, F, 7) of the position in the bar, counted from 1, of the last beat before the frame."""
    metre: Tensor
    """(B, F, 6) of the beats a bar, one of ``METRES``."""
    tempo: Tensor
    """(B, F, 32) of the tempo, see :func:`tempo_class`."""


class BeatHeads(nn.Module):
    """Linear heads on (B, F, D) frames."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(dim, sum(OUTPUTS.values()))

    def forward(self, frames: Tensor) -> BeatLogits:
        """Logits of (B, F, D) frames, in float32."""
        logits = self.output(frames).float()
        beat, downbeat, position, metre, tempo = logits.split(list(OUTPUTS.values()), -1)
        return BeatLogits(beat[..., 0], downbeat[..., 0], position, metre, tempo)


def tempo_class(bpm: Tensor) -> Tensor:
    """The class of a tempo in beats per minute, as a real number in [0, 31]."""
    octaves = torch.log2(bpm / SLOWEST) / math.log2(FASTEST / SLOWEST)
    return (octaves * (TEMPO_CLASSES - 1)).clamp(0, TEMPO_CLASSES - 1)


def class_tempi() -> Tensor:
    """(32,) tempi of the classes in beats per minute, see :func:`tempo_class`."""
    return SLOWEST * torch.pow(FASTEST / SLOWEST, torch.arange(TEMPO_CLASSES) / (TEMPO_CLASSES - 1))

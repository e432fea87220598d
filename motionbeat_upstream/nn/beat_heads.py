"""Heads on the frame trunk: beats, downbeats, position in the bar, metre and tempo of each frame [O].

They see no grid. Each is linear, so that what they tell must be plain in the trunk's last state, which probes
and the frame-level contrast see as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from motionbeat_upstream.beats.grid import METRES
from motionbeat_upstream.beats.tempo import TEMPO_CLASSES

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
    """(B, F, 32) of the tempo, see :func:`~motionbeat_upstream.beats.tempo.tempo_class`."""


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

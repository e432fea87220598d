"""A clip cut into slices: what is encoded at once, and averaged over time afterwards."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import SAMPLE_RATE

SHORTEST = 0.5
"""Seconds that a clip is filled up to with silence: less is no frame to some upstreams."""


def slices(wav: Tensor, seconds: float) -> list[Tensor]:
    """Slices of equal length that together are the whole clip, none longer than ``seconds``.

    Args:
        wav: (T,) at 16 kHz, T at least 1.
        seconds: of the longest slice, at least ``SHORTEST``; a clip that is shorter is one slice.

    Returns:
        (S_i,) each, their lengths differing by one sample at most, in order.
    """
    wav = F.pad(wav, (0, max(0, round(SHORTEST * SAMPLE_RATE) - len(wav))))
    count = -(-len(wav) // round(seconds * SAMPLE_RATE))
    return list(wav.tensor_split(count))

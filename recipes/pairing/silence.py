"""Audio that says nothing of the pair: the silence test [O].

With the audio replaced, every retrieval figure must fall to chance. What does not comes from the grid, or
from lengths, and the towers found each other without listening.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from motion_data.negatives.drawing import negative_mask
from motionbeat_upstream.tracking.frontend import length_mask


def silence(wav: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) digital silence in the place of (B, T) audio; ``lengths`` stay what they are."""
    return torch.zeros_like(wav)


def noise(wav: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """White noise, as loud as each clip: its root mean square is all that is left of it.

    Args:
        wav: (B, T).
        lengths: (B,) samples of each clip; 0 beyond.
        generator: of the noise, on the CPU.

    Returns:
        (B, T) like ``wav``, 0 beyond a clip's length and where a clip is silent.
    """
    mask = length_mask(lengths, wav.shape[1])
    made = torch.randn(wav.shape, generator=generator).to(wav.device) * mask
    level = (wav.float() * mask).square().sum(1).sqrt() / made.square().sum(1).sqrt().clamp(min=1e-12)
    return (made * level[:, None]).to(wav.dtype)


def other_audio(
    wav: Tensor, lengths: Tensor, pieces: Tensor, takes: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The audio of another clip of the batch, cut or looped to each clip's length.

    It is of another piece, and of a pair with another take, whose motion might otherwise be the same. That
    other pair's motion then fits the audio better than the own one does: figures fall to chance or just
    below it.

    Args:
        wav: (B, T).
        lengths: (B,) samples of each clip, at least 1.
        pieces: (B,) number of each clip's piece.
        takes: (B,) number of each clip's take.
        generator: of the choice, on the CPU.

    Returns:
        (B, T) audio, and (B,) true where there was another clip to take it from; the others are silent, and
        no figure may count them.
    """
    allowed = torch.from_numpy(np.asarray(negative_mask(pieces.tolist(), takes.tolist())))
    lot = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, -1.0)
    donor, found = lot.argmax(1).to(wav.device), allowed.any(1).to(wav.device)
    sample = torch.arange(wav.shape[1], device=wav.device) % lengths[donor][:, None]
    mask = length_mask(lengths, wav.shape[1]) & found[:, None]
    return torch.where(mask, wav[donor].gather(1, sample), 0.0), found

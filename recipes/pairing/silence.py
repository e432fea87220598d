"""Replacements for the audio of pairs, without information about the motion: the silence test [O].

With the audio replaced, every retrieval score must fall to chance. A score above chance comes from the grid
or from lengths, not from the audio.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from motion_data.negatives.drawing import negative_mask
from motionbeat_upstream.tracking.frontend import length_mask


def silence(wav: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) digital silence for (B, T) audio; ``lengths`` is ignored."""
    return torch.zeros_like(wav)


def noise(wav: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """White noise with the root mean square of each clip.

    Args:
        wav: (B, T).
        lengths: (B,) samples of each clip.
        generator: random generator on the CPU.

    Returns:
        (B, T) like ``wav``; 0 beyond the length of a clip and for silent clips.
    """
    mask = length_mask(lengths, wav.shape[1])
    white = torch.randn(wav.shape, generator=generator).to(wav.device) * mask
    gain = (wav.float() * mask).square().sum(1).sqrt() / white.square().sum(1).sqrt().clamp(min=1e-12)
    return (white * gain[:, None]).to(wav.dtype)


def other_audio(
    wav: Tensor, lengths: Tensor, pieces: Tensor, takes: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The audio of another clip of the batch, cut or looped to the length of each clip.

    The other clip is of another piece and another take. Its motion fits the audio better than the own motion
    does, so scores fall to chance or slightly below.

    Args:
        wav: (B, T).
        lengths: (B,) samples of each clip, at least 1.
        pieces: (B,) number of each clip's piece.
        takes: (B,) number of each clip's take.
        generator: random generator on the CPU.

    Returns:
        (B, T) audio, and (B,) whether the batch has another clip for it. Without one the audio is silent and
        must not be scored.
    """
    allowed = torch.from_numpy(np.asarray(negative_mask(pieces.tolist(), takes.tolist())))
    priority = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, -1.0)
    donor, has_donor = priority.argmax(1).to(wav.device), allowed.any(1).to(wav.device)
    sample = torch.arange(wav.shape[1], device=wav.device) % lengths[donor][:, None]
    mask = length_mask(lengths, wav.shape[1]) & has_donor[:, None]
    return torch.where(mask, wav[donor].gather(1, sample), 0.0), has_donor

"""What can be heard to begin, as a curve over the frames of 20 ms that a motion is laid out on."""

from __future__ import annotations

import torch
from torch import Tensor

from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.tracking.frontend import length_mask, log_mel, onset_envelope

LOUDEST = 0.98
"""The onset envelope is divided by this quantile of its clip, so that its target lies in [0, 1]."""


@torch.inference_mode()
def onset_curve(wav: Tensor, lengths: Tensor) -> Tensor:
    """The onsets of audio alone, without a tower.

    Args:
        wav: (B, T) at 16 kHz, 0 beyond a clip's length.
        lengths: (B,) samples of each clip, int64.

    Returns:
        (B, F) at 50 Hz in [0, 1], 0 beyond a clip's frames.
    """
    mel, frames = log_mel(wav, lengths, MusicTowerConfig.n_mels)
    return onset_target(onset_envelope(mel, frames), frames // 2)


@torch.no_grad()
def onset_target(envelope: Tensor, lengths: Tensor) -> Tensor:
    """The onset envelope at 50 Hz in [0, 1].

    Args:
        envelope: (B, 2F) at 100 Hz.
        lengths: (B,) frames of 20 ms.
    """
    frames = envelope.float().unflatten(1, (-1, 2)).amax(-1)
    loud = frames.masked_fill(~length_mask(lengths, frames.shape[1]), torch.nan)
    top = torch.nanquantile(loud, LOUDEST, dim=1, keepdim=True)
    target: Tensor = (frames / top.clamp(min=1e-3)).clamp(0, 1)
    return target

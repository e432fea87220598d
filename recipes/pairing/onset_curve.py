"""Onset envelopes on the frames of a motion, at 50 Hz."""

from __future__ import annotations

import torch
from torch import Tensor

from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.tracking.frontend import length_mask, log_mel, onset_envelope

PEAK_QUANTILE = 0.98
"""The onset envelope is divided by this quantile of its clip and clipped to [0, 1]."""


@torch.inference_mode()
def onset_curve(wav: Tensor, lengths: Tensor) -> Tensor:
    """Normalised onset envelopes of audio.

    Args:
        wav: (B, T) at 16 kHz, 0 beyond the length of a clip.
        lengths: (B,) samples of each clip, int64.

    Returns:
        (B, F) at 50 Hz in [0, 1], 0 beyond the frames of a clip.
    """
    mel, frames = log_mel(wav, lengths, MusicTowerConfig.n_mels)
    return onset_target(onset_envelope(mel, frames), frames // 2)


@torch.no_grad()
def onset_target(envelope: Tensor, lengths: Tensor) -> Tensor:
    """Normalise onset envelopes and reduce them to 50 Hz.

    Args:
        envelope: (B, 2F) onset envelopes at 100 Hz.
        lengths: (B,) frames of 20 ms.

    Returns:
        (B, F) in [0, 1].
    """
    frames = envelope.float().unflatten(1, (-1, 2)).amax(-1)
    inside = frames.masked_fill(~length_mask(lengths, frames.shape[1]), torch.nan)
    peak = torch.nanquantile(inside, PEAK_QUANTILE, dim=1, keepdim=True)
    target: Tensor = (frames / peak.clamp(min=1e-3)).clamp(0, 1)
    return target

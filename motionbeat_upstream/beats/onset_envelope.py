"""Onset strength: how much new sound sets in at each moment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.beats.frontend import length_mask, log_mel

LAG = 4
"""Frames between the two spectra compared. The mel window is 64 ms long, so spectra 40 ms or more
apart share no click: a click then stands out the most in the frame whose centre is nearest to it,
and not, as with neighbouring frames, in the frame that first sees it come into the window [O]."""

BLOCK = 1024
"""Frames compared at a time, so that what is in between stays in the processor's cache."""


def onset_envelope(log_mel: Tensor, lengths: Tensor) -> Tensor:
    """Half-wave rectified spectral flux [P], the mean over mel bands.

    A logarithmic spectrum of a clip at one loudness makes it independent of gain; it is the same
    for a clip alone and in any batch. The sound that a clip starts with is no onset.

    Args:
        log_mel: (B, F, M) log-mel at 100 Hz, see :func:`~motionbeat_upstream.beats.frontend.log_mel`.
        lengths: (B,) frames of each clip, int64.

    Returns:
        (B, F) at 100 Hz, at least 0, in units of ``log_mel``; frame j stands for (j + 0.5) · 10 ms;
        0 beyond a clip's frames.
    """
    size = log_mel.shape[1]
    opening = F.relu(log_mel[:, :LAG] - log_mel[:, :1]).mean(-1)
    later, earlier = log_mel[:, LAG:].split(BLOCK, 1), log_mel[:, : max(size - LAG, 0)].split(BLOCK, 1)
    rises = [F.relu(now - before).mean(-1) for now, before in zip(later, earlier, strict=True)]
    flux = torch.cat([opening, *rises], 1)
    return flux * length_mask(lengths, size)


def spectra(wav: Tensor, lengths: Tensor, n_mels: int) -> tuple[Tensor, Tensor, Tensor]:
    """The (B, 2F, n_mels) log-mel, its (B,) lengths and the (B, 2F) onset envelope, in float32.

    The arguments are those of :func:`~motionbeat_upstream.beats.frontend.log_mel`.
    """
    with torch.autocast(wav.device.type, enabled=False):  # half precision is too coarse for spectra
        mel, mel_lengths = log_mel(wav, lengths, n_mels)
        return mel, mel_lengths, onset_envelope(mel, mel_lengths)

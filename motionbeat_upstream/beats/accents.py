"""Accents heard in a log-mel spectrogram: onsets in the bass, and changes of the sound."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.beats.local_contrast import STEP, local_contrast, whole_steps
from motionbeat_upstream.beats.onset_envelope import onset_envelope

BASS = 16
"""One in so many mel bands is bass: below about 200 Hz."""

BANDS = 16
"""Bands that the sound is compared in."""

REACH = 0.18
"""Seconds before and after a moment that are compared there."""


def bass_accents(log_mel: Tensor, lengths: Tensor, rate: float) -> Tensor:
    """(B, F) onset strength below about 200 Hz against its surroundings; for the arguments see below."""
    bass = onset_envelope(log_mel[..., : max(1, log_mel.shape[2] // BASS)], lengths)
    return local_contrast(bass, lengths, rate)


def sound_change(total: Tensor, lengths: Tensor, rate: float) -> Tensor:
    """(B, F) how much the mean spectrum after a moment differs from that before it, in units of the log-mel.

    Chords change on beats, so this tells beats from off-beats where the drums do not.

    Args:
        total: (B, C, F + 1) as :func:`running_total` gives it.
        lengths: (B,) frames of each clip.
        rate: frames a second.
    """
    reach = round(REACH * rate)
    size = total.shape[2] - 1
    edges = total[..., :1].expand(-1, -1, reach), total[..., -1:].expand(-1, -1, reach)
    padded = torch.cat([edges[0], total, edges[1]], 2)
    at = [padded[..., start : start + size] for start in (0, reach, 2 * reach)]
    frame = torch.arange(size, device=total.device)
    before = frame.clamp(max=reach).expand(len(total), -1)
    after = (lengths[:, None] - frame).clamp(min=0, max=reach)
    return spectral_change(at, before, after)


def sound_bands(log_mel: Tensor) -> Tensor:
    """(B, C, F) the (B, F, M) log-mel in about ``BANDS`` bands, in whole steps; 0 stays 0."""
    width = max(1, log_mel.shape[2] // BANDS)
    count = log_mel.shape[2] // width
    bands = log_mel[..., : count * width].float().unflatten(2, (count, width)).mean(3)
    return whole_steps(bands.transpose(1, 2).contiguous())


def running_total(bands: Tensor) -> Tensor:
    """(B, C, F + 1) int64 sums of the frames before each.

    Whole numbers add up exactly, so a clip's sums are the same in any batch.
    """
    return F.pad(bands.cumsum(2), (1, 0))


def spectral_change(at: Sequence[Tensor], before: Tensor, after: Tensor) -> Tensor:
    """(B, N) root mean square difference of two mean spectra, or 0 where one of them is of no frame.

    Args:
        at: (B, C, N) running totals at the start of the first spectrum, where the second follows
            on the first, and at the end of the second.
        before, after: (B, N) frames of the first and of the second.
    """
    mean_before = (at[1] - at[0]) / before.clamp(min=1)[:, None]
    difference = (at[2] - at[1]) / after.clamp(min=1)[:, None] - mean_before
    return STEP * difference.square().mean(1).sqrt() * ((before > 0) & (after > 0))

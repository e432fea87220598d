"""Accents heard in a log-mel spectrogram: onsets in the bass, and changes of the sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.nn.local_contrast import STEP, local_contrast, whole_steps
from motionbeat_upstream.nn.onset_envelope import onset_envelope

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


def change_accents(total: Tensor, lengths: Tensor, rate: float) -> Tensor:
    """(B, F) how much the mean spectrum after a moment differs from that before it, likewise.

    Chords change on beats, so this tells beats from off-beats where the drums do not.

    Args:
        total: (B, C, F + 1) as :func:`running_total` gives it.
        lengths: (B,) frames of each clip.
        rate: frames a second.
    """
    frame = torch.arange(total.shape[2] - 1, device=total.device).expand(len(total), -1)
    reach = round(REACH * rate)
    change = spectral_change(
        total, (frame - reach).clamp(min=0), frame, (frame + reach).minimum(lengths[:, None])
    )
    return local_contrast(change, lengths, rate)


def sound_bands(log_mel: Tensor) -> Tensor:
    """(B, C, F) the (B, F, M) log-mel in a few bands, in whole steps."""
    bands = F.adaptive_avg_pool1d(log_mel.float(), min(BANDS, log_mel.shape[2]))
    return whole_steps(bands.transpose(1, 2).contiguous())


def running_total(bands: Tensor) -> Tensor:
    """(B, C, F + 1) int64 sums of the frames before each.

    Whole numbers add up exactly, so a clip's sums are the same in any batch.
    """
    return F.pad(bands.cumsum(2), (1, 0))


def spectral_change(total: Tensor, first: Tensor, middle: Tensor, stop: Tensor) -> Tensor:
    """(B, N) root mean square difference of two mean spectra, or 0 where one of them is of no frame.

    Args:
        total: (B, C, F + 1) as :func:`running_total` gives it.
        first, middle, stop: (B, N) frames; one spectrum is of [first, middle), the other of
            [middle, stop).
    """
    at = [total.gather(2, frame[:, None].expand(-1, total.shape[1], -1)) for frame in (first, middle, stop)]
    before, after = (middle - first)[:, None], (stop - middle)[:, None]
    difference = (at[2] - at[1]) / after.clamp(min=1) - (at[1] - at[0]) / before.clamp(min=1)
    both = ((before > 0) & (after > 0))[:, 0]
    return STEP * difference.square().mean(1).sqrt() * both

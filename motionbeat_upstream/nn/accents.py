"""Accents heard in a log-mel spectrogram: onsets in the bass, and changes of the sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.nn.local_contrast import STEP, local_contrast
from motionbeat_upstream.nn.onset_envelope import onset_envelope

BASS = 16
"""One in so many mel bands is bass: below about 200 Hz."""

BANDS = 32
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
        total: (B, F + 1, C) as :func:`running_total` gives it.
        lengths: (B,) frames of each clip.
        rate: frames a second.
    """
    frame = torch.arange(total.shape[1] - 1, device=total.device).expand(len(total), -1)
    reach = round(REACH * rate)
    change = spectral_change(
        total, (frame - reach).clamp(min=0), frame, (frame + reach).minimum(lengths[:, None])
    )
    return local_contrast(change, lengths, rate)


def running_total(log_mel: Tensor) -> Tensor:
    """(B, F + 1, C) int64 sums of the frames before each, in a few bands and whole steps.

    Whole numbers add up exactly, so a clip's sums are the same in any batch.
    """
    bands = F.adaptive_avg_pool1d(log_mel.float(), min(BANDS, log_mel.shape[2]))
    return F.pad((bands / STEP).round().long().cumsum(1), (0, 0, 1, 0))


def spectral_change(total: Tensor, first: Tensor, middle: Tensor, stop: Tensor) -> Tensor:
    """(B, N) root mean square difference of two mean spectra, or 0 where one of them is of no frame.

    Args:
        total: (B, F + 1, C) as :func:`running_total` gives it.
        first, middle, stop: (B, N) frames; one spectrum is of [first, middle), the other of
            [middle, stop).
    """
    at = [total.gather(1, frame[..., None].expand(-1, -1, total.shape[2])) for frame in (first, middle, stop)]
    before, after = middle - first, stop - middle
    difference = (at[2] - at[1]) / after.clamp(min=1)[..., None] - (at[1] - at[0]) / before.clamp(min=1)[
        ..., None
    ]
    return STEP * difference.square().mean(-1).sqrt() * ((before > 0) & (after > 0))

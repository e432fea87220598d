"""Accents of a clip: onsets, onsets in the bass, and spectral changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.tracking.frontend import onset_envelope
from motionbeat_upstream.tracking.local_contrast import RESOLUTION, local_contrast, to_integer
from motionbeat_upstream.tracking.silence import sounding_frames

DEFAULT_TRUST = MusicTowerConfig.grid_trust
"""Weight of the onset envelope; the rest goes to the accents in the log-mel."""

BASS_SHARE = 2 / 3
"""Weight of the bass in those accents; the rest goes to spectral changes."""

BASS_DIVISOR = 16
"""The lowest of so many equal groups of mel bands is the bass, below about 200 Hz."""

BANDS = 16
"""Number of bands in which spectra are compared."""

CONTEXT_FRAMES = 18
"""Frames of 10 ms before and after each frame that are compared."""


@dataclass(frozen=True)
class Accents:
    """Accents of a batch; each activation is (B, F), with standard deviation about 1 and 0 beyond a clip's
    end."""

    onsets: Tensor
    """Locally normalised onset envelope."""
    bass: Tensor
    """The same of the bass, below about 200 Hz."""
    log_mel: Tensor
    """Accents in the log-mel: bass and spectral changes."""
    bands: Tensor
    """(B, C, F) int64 log-mel in about ``BANDS`` bands, in multiples of ``RESOLUTION``."""
    band_sums: Tensor
    """(B, C, F + 1) int64 cumulative sums of ``bands`` over time, starting with 0; exact, so they do not
    depend on the batch."""
    sounding: Tensor
    """(B, F) bool, see :func:`~motionbeat_upstream.tracking.silence.sounding_frames`."""

    @property
    def combined(self) -> Tensor:
        """Weighted sum of onsets and accents in the log-mel."""
        return DEFAULT_TRUST * self.onsets + (1 - DEFAULT_TRUST) * self.log_mel


def compute_accents(activation: Tensor, log_mel: Tensor, lengths: Tensor) -> Accents:
    """Compute the accents of a batch.

    Args:
        activation: (B, F) onset envelope at 100 Hz, with peaks of about 1.
        log_mel: (B, F, M).
        lengths: (B,) frames of each clip.
    """
    low = onset_envelope(log_mel[..., : max(1, log_mel.shape[2] // BASS_DIVISOR)], lengths)
    bass = local_contrast(low, lengths)
    bands, band_sums = _bands(log_mel)
    change = _local_change(band_sums, lengths)
    return Accents(
        onsets=local_contrast(torch.nan_to_num(activation), lengths),
        bass=bass,
        log_mel=BASS_SHARE * bass + (1 - BASS_SHARE) * local_contrast(change, lengths),
        bands=bands,
        band_sums=band_sums,
        sounding=sounding_frames(bands, change, lengths, CONTEXT_FRAMES),
    )


def log_mel_sounding_frames(log_mel: Tensor, lengths: Tensor) -> Tensor:
    """Detect the sounding frames of a (B, F, M) log-mel, (B, F) bool as in :class:`Accents`."""
    bands, band_sums = _bands(log_mel)
    return sounding_frames(bands, _local_change(band_sums, lengths), lengths, CONTEXT_FRAMES)


def _bands(log_mel: Tensor) -> tuple[Tensor, Tensor]:
    """``bands`` and ``band_sums`` of :class:`Accents`."""
    width = max(1, log_mel.shape[2] // BANDS)
    count = log_mel.shape[2] // width
    bands = log_mel[..., : count * width].float().unflatten(2, (count, width)).mean(3)
    bands = to_integer(bands.transpose(1, 2).contiguous())
    return bands, F.pad(bands.cumsum(2), (1, 0))


def _local_change(band_sums: Tensor, lengths: Tensor) -> Tensor:
    """(B, F) difference of the mean spectra before and after each frame, in units of the log-mel.

    Chords change on beats, so it distinguishes beats from off-beats where the drums do not.
    """
    size = band_sums.shape[2] - 1
    frame = torch.arange(size, device=band_sums.device)
    shifts = (-CONTEXT_FRAMES, 0, CONTEXT_FRAMES)
    sums = [band_sums[..., (frame + shift).clamp(0, size)] for shift in shifts]
    before = frame.clamp(max=CONTEXT_FRAMES).expand(len(band_sums), -1)
    after = (lengths[:, None] - frame).clamp(min=0, max=CONTEXT_FRAMES)
    return spectral_change(sums, before, after)


def spectral_change(sums: Sequence[Tensor], before: Tensor, after: Tensor) -> Tensor:
    """(B, N) root mean square difference of two mean spectra; 0 if one of them has no frames.

    Args:
        sums: (B, C, N) cumulative sums at the start of the first spectrum, at its end, which is the start of
            the second, and at the end of the second.
        before, after: (B, N) number of frames of the first and of the second.
    """
    mean_before = (sums[1] - sums[0]) / before.clamp(min=1)[:, None]
    difference = (sums[2] - sums[1]) / after.clamp(min=1)[:, None] - mean_before
    return RESOLUTION * difference.square().mean(1).sqrt() * ((before > 0) & (after > 0))

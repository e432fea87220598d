"""Evidence of beats in a clip, frame by frame: onsets, accents in the bass, and changes of the sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.tracking.frontend import onset_envelope
from motionbeat_upstream.tracking.local_contrast import STEP, local_contrast, whole_steps
from motionbeat_upstream.tracking.silence import sounds

TRUST = MusicTowerConfig.grid_trust
"""Weight of an onset envelope against the accents in the log-mel."""

BASS_SHARE = 2 / 3
"""Share of the bass in those accents; the rest is change of sound."""

BASS = 16
"""One in so many mel bands is bass: below about 200 Hz."""

BANDS = 16
"""Bands that the sound is compared in."""

REACH = 18
"""Frames of 10 ms before and after a moment that are compared there."""


@dataclass(frozen=True)
class Accents:
    """Evidence of beats; each curve is (B, F), of a standard deviation of about 1, 0 beyond a clip's end."""

    onsets: Tensor
    """Onset envelope against its surroundings."""
    bass: Tensor
    """Onsets below about 200 Hz against their surroundings."""
    others: Tensor
    """Accents in the log-mel: of the bass, and changes of the sound."""
    bands: Tensor
    """(B, C, F) int64 log-mel in about ``BANDS`` bands, in whole steps."""
    total: Tensor
    """(B, C, F + 1) int64 sums of the frames of ``bands`` before each. Whole numbers add up exactly, so a
    clip's sums are the same in any batch."""
    sounding: Tensor
    """(B, F) true where something sounds, see :func:`~motionbeat_upstream.tracking.silence.sounds`."""

    @property
    def mixed(self) -> Tensor:
        """Onsets and accents in the log-mel together."""
        return TRUST * self.onsets + (1 - TRUST) * self.others


def find_accents(activation: Tensor, log_mel: Tensor, lengths: Tensor) -> Accents:
    """The evidence of a batch.

    Args:
        activation: (B, F) onset envelope at 100 Hz, of the order of 1 at its peaks.
        log_mel: (B, F, M).
        lengths: (B,) frames of each clip.
    """
    low = onset_envelope(log_mel[..., : max(1, log_mel.shape[2] // BASS)], lengths)
    bass = local_contrast(low, lengths)
    bands, total = _bands(log_mel)
    change = _sound_change(total, lengths)
    return Accents(
        onsets=local_contrast(torch.nan_to_num(activation), lengths),
        bass=bass,
        others=BASS_SHARE * bass + (1 - BASS_SHARE) * local_contrast(change, lengths),
        bands=bands,
        total=total,
        sounding=sounds(bands, change, lengths, REACH),
    )


def sounding(log_mel: Tensor, lengths: Tensor) -> Tensor:
    """(B, F) true where something sounds, as in :class:`Accents`, of a (B, F, M) log-mel."""
    bands, total = _bands(log_mel)
    return sounds(bands, _sound_change(total, lengths), lengths, REACH)


def _bands(log_mel: Tensor) -> tuple[Tensor, Tensor]:
    """``bands`` and ``total`` of :class:`Accents`."""
    width = max(1, log_mel.shape[2] // BANDS)
    count = log_mel.shape[2] // width
    bands = log_mel[..., : count * width].float().unflatten(2, (count, width)).mean(3)
    bands = whole_steps(bands.transpose(1, 2).contiguous())
    return bands, F.pad(bands.cumsum(2), (1, 0))


def _sound_change(total: Tensor, lengths: Tensor) -> Tensor:
    """(B, F) how much the mean spectrum after a moment differs from that before it.

    In units of the log-mel. Chords change on beats, so it tells beats from off-beats where the drums do not.
    """
    size = total.shape[2] - 1
    edges = total[..., :1].expand(-1, -1, REACH), total[..., -1:].expand(-1, -1, REACH)
    padded = torch.cat([edges[0], total, edges[1]], 2)
    at = [padded[..., start : start + size] for start in (0, REACH, 2 * REACH)]
    frame = torch.arange(size, device=total.device)
    before = frame.clamp(max=REACH).expand(len(total), -1)
    after = (lengths[:, None] - frame).clamp(min=0, max=REACH)
    return spectral_change(at, before, after)


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

"""The no-learning baseline: correlation of touch-downs with onsets [O].

The similarity of music and motion is the correlation of the onset envelope with the contact pulses, both
smoothed, at the best of a few small lags. Every retrieval table contains this baseline: towers that are not
better have learned nothing beyond it.

The best tolerance depends on the data. Synthetic music and motion coincide to the frame, and any lag only
raises the similarity of other pairs. People step some tens of milliseconds early or late, and their contacts
are annotated to a frame or two. So there are two tolerances, and the better one is the baseline; it is chosen
on the test clips, which favours it. Neither exceeds 60 ms: a sixteenth note at 200 bpm is 75 ms, and the
smallest shift in the frame-level contrast is 80 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.tracking.frontend import length_mask


@dataclass(frozen=True)
class Correlations:
    """Similarities of N pairs and R hard negatives."""

    table: Tensor
    """(N, N) of music (row) and motion (column)."""
    own: Tensor
    """(N,) of each music and its own motion: the diagonal of ``table``."""
    hard: Tensor
    """(R,) of each hard negative and its music."""


@dataclass(frozen=True)
class Tolerance:
    """Allowed time difference between an onset and a touch-down."""

    smoothing: float
    """Standard deviation of the Gaussian over onset envelope and contact pulses, in frames of 20 ms."""
    max_lag: int
    """Largest lag between music and motion, in frames of 20 ms."""


EXACT = Tolerance(1.0, 0)
"""For synthetic pairs."""

LENIENT = Tolerance(2.0, 3)
"""For people."""

TOLERANCES = (EXACT, LENIENT)

MIN_RELATIVE_VARIANCE = 1e-6
"""A signal is constant if its variance is below this share of its mean square."""


def pair_correlations(
    onset: Tensor, contact: Tensor, lengths: Tensor, owner: Tensor, tolerance: Tolerance
) -> Correlations:
    """Similarities of pairs and their hard negatives, see :func:`onset_contact_similarity`.

    Args:
        onset: (N, F) onset envelopes.
        contact: (N + R, F) contact pulses of the own motions in order, then of the hard negatives.
        lengths: (N,) frames of each pair.
        owner: (R,) row of each negative's music.
        tolerance: one of ``TOLERANCES``.
    """
    size = len(onset)
    table = onset_contact_similarity(onset, contact[:size], lengths, lengths, tolerance)
    hard = onset_contact_similarity(
        onset[owner], contact[size:], lengths[owner], lengths[owner], tolerance, paired=True
    )
    return Correlations(table, table.diagonal(), hard)


def cat_padded(parts: Sequence[Tensor]) -> Tensor:
    """(N, F) rows of all (n, f) parts, padded with 0 at the end."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([F.pad(part, (0, width - part.shape[1])) for part in parts])


def onset_contact_similarity(
    onset: Tensor,
    contact: Tensor,
    onset_lengths: Tensor,
    contact_lengths: Tensor,
    tolerance: Tolerance = EXACT,
    paired: bool = False,
) -> Tensor:
    """Correlation of every music with every motion, aligned at their beginnings, over their common frames.

    Args:
        onset: (N, F) onset envelopes at 50 Hz, at least 0.
        contact: (M, G) contact pulses at 50 Hz, at least 0.
        onset_lengths: (N,) frames of each music; values beyond are ignored.
        contact_lengths: (M,) frames of each motion; values beyond are ignored.
        tolerance: ``EXACT`` or ``LENIENT``.
        paired: compare music n with motion n only; N = M.

    Returns:
        (N, M) float32 in [-1, 1], or (N,) if paired: the highest correlation over the lags; 0 if either
        signal is constant.
    """

    def product(x: Tensor, y: Tensor) -> Tensor:
        return (x * y).sum(-1) if paired else x @ y.T

    # Longer than the largest lag, so that every lag leaves frames.
    size = max(onset.shape[1], contact.shape[1], tolerance.max_lag + 1)
    music, music_mask = _smoothed(onset, onset_lengths, size, tolerance.smoothing)
    motion, motion_mask = _smoothed(contact, contact_lengths, size, tolerance.smoothing)
    best = torch.tensor(-1.0, dtype=torch.float64)
    for lag in range(-tolerance.max_lag, tolerance.max_lag + 1):
        delayed, delayed_mask = F.pad(motion, (lag, -lag)), F.pad(motion_mask, (lag, -lag))
        # Moments over the common frames, for all pairs at once.
        count = product(music_mask, delayed_mask).clamp(min=1)
        music_mean = product(music, delayed_mask) / count
        motion_mean = product(music_mask, delayed) / count
        music_power = product(music.square(), delayed_mask) / count
        motion_power = product(music_mask, delayed.square()) / count
        music_variance = music_power - music_mean.square()
        motion_variance = motion_power - motion_mean.square()
        varies = (music_variance > MIN_RELATIVE_VARIANCE * music_power) & (
            motion_variance > MIN_RELATIVE_VARIANCE * motion_power
        )
        covariance = product(music, delayed) / count - music_mean * motion_mean
        deviations = torch.where(varies, music_variance * motion_variance, 1.0).sqrt()
        correlation = torch.where(varies, covariance / deviations, 0.0).clamp(-1, 1)
        best = torch.maximum(best, correlation)
    return best.float()


def _smoothed(signal: Tensor, lengths: Tensor, size: int, deviation: float) -> tuple[Tensor, Tensor]:
    """(B, size) smoothed signals and their masks in float64, both 0 beyond the lengths."""
    mask = length_mask(lengths.cpu(), signal.shape[1])
    inside = torch.where(mask, signal.detach().cpu().double(), 0.0)
    smooth = torch.from_numpy(gaussian_filter1d(inside.numpy(), deviation, axis=1, mode="constant"))
    padding = (0, size - signal.shape[1])
    return F.pad(smooth * mask, padding), F.pad(mask.double(), padding)

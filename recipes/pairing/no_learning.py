"""The no-learning baseline: how well touch-downs fall together with new sound [O].

The similarity of a music and a motion is the correlation of the onset envelope with the contact pulses,
both smoothed, at the best of a few small lags. It stands in every retrieval table: towers that are not
above it have learned nothing that this does not know.

A baseline has to be as good as it can be, and how much to forgive depends on the data. Made music and
motion meet to the frame, and every lag that is forgiven lets other pairs meet as well. People step some tens
of milliseconds early or late, and their contacts are known to a frame or two. So there are two settings, and
the better one is the baseline, chosen on the very clips that it is judged on, which favours it. More than
60 ms is forgiven by neither: a sixteenth at 200 bpm is 75 ms, and the nearest moved copy of the
frame-level contrast is 80 ms off.
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
    """What N musics are to their own and each other's motions, and to R hard negatives, without learning."""

    table: Tensor
    """(N, N) of music (row) and motion."""
    own: Tensor
    """(N,) of each music and its own motion: the table's diagonal."""
    hard: Tensor
    """(R,) of each hard negative and the music that it is a negative of."""


@dataclass(frozen=True)
class Forgiveness:
    """How far apart an onset and a touch-down may be and still be together."""

    width: float
    """Standard deviation of the smoothing of both curves in frames of 20 ms."""
    lag: int
    """Frames by which all of either may come late."""


EXACT, LENIENT = Forgiveness(1.0, 0), Forgiveness(2.0, 3)
"""For what was made, and for people."""

FORGIVENESSES = (EXACT, LENIENT)
"""Of which the better one is the baseline."""

FLAT = 1e-6
"""Share of its mean square that a curve's variance must have not to count as constant."""


def correlations(
    onset: Tensor, contact: Tensor, lengths: Tensor, owner: Tensor, forgiveness: Forgiveness
) -> Correlations:
    """The baseline's similarities of tested pairs, see :func:`onset_contact_similarity`.

    Args:
        onset: (N, F) of the musics.
        contact: (N + R, F): own motions in their order, then hard negatives.
        lengths: (N,) frames of each pair.
        owner: (R,) row of each negative's music.
        forgiveness: one of ``FORGIVENESSES``.
    """
    size = len(onset)
    table = onset_contact_similarity(onset, contact[:size], lengths, lengths, forgiveness)
    hard = onset_contact_similarity(
        onset[owner], contact[size:], lengths[owner], lengths[owner], forgiveness, paired=True
    )
    return Correlations(table, table.diagonal(), hard)


def padded(parts: Sequence[Tensor]) -> Tensor:
    """(N, F) the rows of all (n, f) parts, those of shorter ones with 0 at their ends."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([F.pad(part, (0, width - part.shape[1])) for part in parts])


def onset_contact_similarity(
    onset: Tensor,
    contact: Tensor,
    onset_lengths: Tensor,
    contact_lengths: Tensor,
    forgiveness: Forgiveness = EXACT,
    paired: bool = False,
) -> Tensor:
    """Every music against every motion, both from their beginnings on, over what both have.

    Args:
        onset: (N, F) onset envelopes at 50 Hz, at least 0.
        contact: (M, G) contact pulses at 50 Hz, at least 0.
        onset_lengths: (N,) frames of each music; what lies beyond does not matter.
        contact_lengths: (M,) the same of each motion.
        forgiveness: ``EXACT`` or ``LENIENT``.
        paired: compare music n with motion n alone, N = M.

    Returns:
        (N, M) float32 in [-1, 1], or (N,) of pairs: the highest correlation over the lags; 0 where either is
        constant.
    """

    def product(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum(-1) if paired else one @ other.T

    # At least so long that a lag does not move everything out of sight.
    size = max(onset.shape[1], contact.shape[1], forgiveness.lag + 1)
    music, heard = _smoothed(onset, onset_lengths, size, forgiveness.width)
    motion, seen = _smoothed(contact, contact_lengths, size, forgiveness.width)
    music_square, motion_square = music.square(), motion.square()
    best = torch.tensor(-1.0, dtype=torch.float64)
    for lag in range(-forgiveness.lag, forgiveness.lag + 1):
        late, late_square, there = (_moved(x, lag) for x in (motion, motion_square, seen))
        # Sums over the frames that both have at this lag, for all pairs at once.
        count = product(heard, there).clamp(min=1)
        first, second = product(music, there) / count, product(heard, late) / count
        first_power = product(music_square, there) / count
        second_power = product(heard, late_square) / count
        first_variance, second_variance = first_power - first.square(), second_power - second.square()
        lively = (first_variance > FLAT * first_power) & (second_variance > FLAT * second_power)
        covariance = product(music, late) / count - first * second
        spread = torch.where(lively, first_variance * second_variance, 1.0).sqrt()
        found = torch.where(lively, covariance / spread, 0.0).clamp(-1, 1)
        best = torch.maximum(best, found)
    return best.float()


def _smoothed(curve: Tensor, lengths: Tensor, size: int, width: float) -> tuple[Tensor, Tensor]:
    """(B, size) the smoothed curves and where they are, both 0 beyond their ends, in float64."""
    mask = length_mask(lengths.cpu(), curve.shape[1])
    inside = torch.where(mask, curve.detach().cpu().double(), 0.0)
    smooth = torch.from_numpy(gaussian_filter1d(inside.numpy(), width, axis=1, mode="constant"))
    rest = size - curve.shape[1]
    return F.pad(smooth * mask, (0, rest)), F.pad(mask.double(), (0, rest))


def _moved(x: Tensor, lag: int) -> Tensor:
    """(B, F) that comes ``lag`` frames later, 0 where nothing is known."""
    return F.pad(x, (lag, -lag))

"""The Embodied Contrastive Loss: InfoNCE with tempo-aware and beat-jitter negatives [P idea, S form].

    L_i = −log  e^{s(a_i, m_i)/τ} / ( e^{s(a_i, m_i)/τ} + Σ_{j≠i} e^{s(a_i, m_j)/τ}
                                      + Σ_{T_i} e^{s(a_i, m_t)/τ} + Σ_{J_i} e^{s(a_i, m_u)/τ} )

s is the cosine similarity, a the music, m the motion. The anchor is the audio, as in the paper [S]. The
symmetric term and the exclusion of pairs of the same piece or take from the negatives are our additions [O].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather
from torch.nn import functional as F

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 1.0
"""Bounds of the temperature: below them a single outlier dominates a batch, above them the loss is almost
flat."""


class Temperature(nn.Module):
    """Learned temperature τ, parametrised by its logarithm and bounded.

    Args:
        start: initial value in [0.01, 1].
    """

    def __init__(self, start: float = 0.07) -> None:
        super().__init__()
        if not MIN_TEMPERATURE <= start <= MAX_TEMPERATURE:
            raise ValueError(
                f"temperature must lie in [{MIN_TEMPERATURE:g}, {MAX_TEMPERATURE:g}], got {start:g}"
            )
        # Away from 0 and 1, or the sigmoid would have no gradient.
        share = math.log(start / MIN_TEMPERATURE) / math.log(MAX_TEMPERATURE / MIN_TEMPERATURE)
        share = min(max(share, 1e-3), 1 - 1e-3)
        self.raw = nn.Parameter(torch.tensor(math.log(share / (1 - share))))

    def forward(self) -> Tensor:
        """Return τ, a scalar strictly between its bounds."""
        share = torch.sigmoid(self.raw.float())
        return MIN_TEMPERATURE * torch.exp(share * math.log(MAX_TEMPERATURE / MIN_TEMPERATURE))


def embodied_contrastive_loss(
    music: Tensor,
    motion: Tensor,
    is_negative: Tensor,
    temperature: Tensor,
    hard: Tensor | None = None,
    hard_mask: Tensor | None = None,
    own_index: Tensor | None = None,
    all_music: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the ECL of a batch, and statistics for monitoring.

    Args:
        music: (A, E) embeddings of the anchors, of any norm.
        motion: (M, E) embeddings of the motions of all ranks.
        is_negative: (A, M) false for motions of the anchor's piece or take, including its own.
        temperature: τ, a scalar above 0.
        hard: (A, H, E) embeddings of the tempo-aware and beat-jitter negatives of each anchor.
        hard_mask: (A, H) true for negatives, false for padding.
        own_index: (A,) index of the motion of each anchor; by default motion i for anchor i.
        all_music: (M, E) embeddings of the music of ``motion``, in the same order. If given, the loss is the
            mean of both directions; the motion-anchored one has only in-batch negatives.

    Returns:
        The mean over anchors, at least in float32, and statistics by name, without gradients: the mean cosine
        of an anchor with its own motion and with the in-batch negatives, and the shares of anchors whose own
        motion is nearer than all in-batch and than all hard negatives (NaN without hard negatives).
    """
    dtype = torch.promote_types(music.dtype, torch.float32)
    with torch.autocast(music.device.type, enabled=False):
        music, motion = (F.normalize(x.to(dtype), dim=-1) for x in (music, motion))
        row = torch.arange(len(music), device=music.device)
        own_index = row if own_index is None else own_index
        cosine = music @ motion.T
        positive = cosine[row, own_index]
        hard_cosine = cosine[:, :0]
        if hard is not None:
            hard_cosine = torch.einsum("ae,ahe->ah", music, F.normalize(hard.to(dtype), dim=-1))
        hard_mask = torch.ones_like(hard_cosine, dtype=torch.bool) if hard_mask is None else hard_mask
        temperature = temperature.to(dtype)
        # Mask after the division: the gradient of -inf / temperature is NaN.
        own_logit = (positive / temperature)[:, None]
        others = (cosine / temperature).masked_fill(~is_negative, -math.inf)
        hard_logits = (hard_cosine / temperature).masked_fill(~hard_mask, -math.inf)
        loss = -F.log_softmax(torch.cat([own_logit, others, hard_logits], 1), 1)[:, 0].mean()
        if all_music is not None:
            from_motion = motion[own_index] @ F.normalize(all_music.to(dtype), dim=-1).T
            others = (from_motion / temperature).masked_fill(~is_negative, -math.inf)
            logits = torch.cat([own_logit, others], 1)
            loss = (loss - F.log_softmax(logits, 1)[:, 0].mean()) / 2
        return loss, _statistics(positive, cosine, is_negative, hard_cosine, hard_mask)


@torch.no_grad()
def _statistics(
    positive: Tensor, cosine: Tensor, is_negative: Tensor, hard_cosine: Tensor, hard_mask: Tensor
) -> dict[str, Tensor]:
    negative = (cosine * is_negative).sum() / is_negative.sum().clamp(min=1)
    above_batch = ((positive[:, None] > cosine) | ~is_negative).all(1)
    above_hard = ((positive[:, None] > hard_cosine) | ~hard_mask).all(1)[hard_mask.any(1)]
    return {
        "positive_cosine": positive.mean(),
        "negative_cosine": negative,
        "batch_accuracy": above_batch.to(cosine.dtype).mean(),
        "hard_accuracy": above_hard.to(cosine.dtype).mean(),
    }


def _world_size() -> int:
    """Number of ranks; 1 without distributed training."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather_rows(x: Tensor) -> tuple[Tensor, int]:
    """Gather the rows of all ranks, with gradients.

    The loss of a rank is the mean over its own anchors. A trainer that averages gradients over ranks then has
    the gradient of the mean over all anchors, as with a single process.

    Args:
        x: (B_r, ...) of this rank; only B_r may differ between ranks.

    Returns:
        (sum of B_r, ...) in the order of the ranks, and the index of this rank's first row.
    """
    if _world_size() == 1:
        return x, 0
    count = torch.tensor([len(x)], device=x.device)
    counts = [int(rank_count) for rank_count in _gather_without_gradient(count)]
    max_count = max(counts)
    padded = torch.cat([x, x.new_zeros(max_count - len(x), *x.shape[1:])])
    parts = all_gather(padded) if x.requires_grad else _gather_without_gradient(padded)
    offset = sum(counts[: distributed.get_rank()])
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)]), offset


def _gather_without_gradient(x: Tensor) -> Sequence[Tensor]:
    parts = [torch.empty_like(x) for _ in range(_world_size())]
    distributed.all_gather(parts, x.contiguous())
    return parts

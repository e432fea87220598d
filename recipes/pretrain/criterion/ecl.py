"""The Embodied Contrastive Loss: InfoNCE with tempo-aware and beat-jitter negatives [P idea, S form].

    L_i = −log  e^{s(a_i, m_i)/τ} / ( e^{s(a_i, m_i)/τ} + Σ_{j≠i} e^{s(a_i, m_j)/τ}
                                      + Σ_{T_i} e^{s(a_i, m_t)/τ} + Σ_{J_i} e^{s(a_i, m_u)/τ} )

s is the cosine, a the music, m the motion. Anchored in the audio as in the paper [S]; the symmetric
term, and leaving pairs of one piece or one take out of the negatives, are ours [O].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather
from torch.nn import functional as F

COLDEST, HOTTEST = 0.01, 1.0
"""Bounds of the temperature: below, one outlier decides a batch; above, nothing is told apart."""


class Temperature(nn.Module):
    """τ, learned in its logarithm and bounded.

    Args:
        start: value before training, in [0.01, 1].
    """

    def __init__(self, start: float = 0.07) -> None:
        super().__init__()
        if not COLDEST <= start <= HOTTEST:
            raise ValueError(f"temperature must lie in [{COLDEST:g}, {HOTTEST:g}], got {start:g}")
        # A parameter in the middle of its range has the steepest slope; at a bound it can still turn back.
        share = math.log(start / COLDEST) / math.log(HOTTEST / COLDEST)
        share = min(max(share, 1e-3), 1 - 1e-3)
        self.raw = nn.Parameter(torch.tensor(math.log(share / (1 - share))))

    def forward(self) -> Tensor:
        """τ, a scalar strictly between its bounds."""
        share = torch.sigmoid(self.raw.float())
        return COLDEST * torch.exp(share * math.log(HOTTEST / COLDEST))


def embodied_contrastive_loss(
    music: Tensor,
    motion: Tensor,
    may_contrast: Tensor,
    temperature: Tensor,
    hard: Tensor | None = None,
    hard_mask: Tensor | None = None,
    own: Tensor | None = None,
    all_music: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """ECL of a batch, and what to watch beside it.

    Args:
        music: (A, E) embeddings of the anchors, of any length.
        motion: (M, E) embeddings of the motions; over several ranks those of all of them.
        may_contrast: (A, M) false where a motion is of the anchor's piece or take, its own included.
        temperature: τ, a scalar above 0.
        hard: (A, H, E) embeddings of each anchor's tempo-aware and beat-jitter negatives.
        hard_mask: (A, H) true where there is one.
        own: (A,) index of each anchor's own motion; by default anchor i's is motion i.
        all_music: (M, E) embeddings of the music of ``motion``, in its order. Where given, the
            motion-anchored term over in-batch negatives is added, and the mean taken.

    Returns:
        The mean over anchors, in float32 at least whatever the input; and by name, without gradients, the
        mean cosine of an anchor with its own motion and with the in-batch negatives, and the shares of
        anchors whose own motion is nearer than every in-batch and than every hard negative (NaN without any).
    """
    dtype = torch.promote_types(music.dtype, torch.float32)
    with torch.autocast(music.device.type, enabled=False):
        music, motion = (F.normalize(x.to(dtype), dim=-1) for x in (music, motion))
        row = torch.arange(len(music), device=music.device)
        own = row if own is None else own
        cosine = music @ motion.T
        positive = cosine[row, own]
        near = cosine[:, :0]
        if hard is not None:
            near = torch.einsum("ae,ahe->ah", music, F.normalize(hard.to(dtype), dim=-1))
        there = torch.ones_like(near, dtype=torch.bool) if hard_mask is None else hard_mask
        temperature = temperature.to(dtype)
        # Masked after the division: the temperature's gradient at minus infinity would be no number.
        own_logit = (positive / temperature)[:, None]
        others = (cosine / temperature).masked_fill(~may_contrast, -math.inf)
        closest = (near / temperature).masked_fill(~there, -math.inf)
        loss = -F.log_softmax(torch.cat([own_logit, others, closest], 1), 1)[:, 0].mean()
        if all_music is not None:
            from_motion = motion[own] @ F.normalize(all_music.to(dtype), dim=-1).T
            others = (from_motion / temperature).masked_fill(~may_contrast, -math.inf)
            backwards = torch.cat([own_logit, others], 1)
            loss = (loss - F.log_softmax(backwards, 1)[:, 0].mean()) / 2
        return loss, _watched(positive, cosine, may_contrast, near, there)


@torch.no_grad()
def _watched(
    positive: Tensor, cosine: Tensor, may_contrast: Tensor, near: Tensor, there: Tensor
) -> dict[str, Tensor]:
    negative = (cosine * may_contrast).sum() / may_contrast.sum().clamp(min=1)
    beaten = (positive[:, None] > cosine) | ~may_contrast
    ahead = ((positive[:, None] > near) | ~there).all(1)[there.any(1)]
    return {
        "positive_cosine": positive.mean(),
        "negative_cosine": negative,
        "batch_accuracy": beaten.all(1).to(cosine.dtype).mean(),
        "hard_accuracy": ahead.to(cosine.dtype).mean(),
    }


def _world_size() -> int:
    """Processes that train together; 1 without distribution."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather_rows(x: Tensor) -> tuple[Tensor, int]:
    """Rows of every rank, and where this rank's own begin: negatives of each rank, with their gradients.

    Each rank's loss is the mean over its own anchors; a trainer that averages gradients over ranks then has
    the gradient of the mean over all anchors, as one process with the whole batch would.

    Args:
        x: (B_r, ...) of this rank; B may differ between ranks, the rest may not.

    Returns:
        (sum of B_r, ...) in the order of the ranks, gradients flowing back to each, and an offset.
    """
    if _world_size() == 1:
        return x, 0
    counts = _counts(len(x), x.device)
    most = max(counts)
    padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])])
    parts = all_gather(padded) if x.requires_grad else _plain_gather(padded)
    offset = sum(counts[: distributed.get_rank()])
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)]), offset


def _counts(count: int, device: torch.device) -> list[int]:
    mine = torch.tensor([count], device=device)
    return [int(each) for each in _plain_gather(mine)]


def _plain_gather(x: Tensor) -> Sequence[Tensor]:
    parts = [torch.empty_like(x) for _ in range(_world_size())]
    distributed.all_gather(parts, x.contiguous())
    return parts

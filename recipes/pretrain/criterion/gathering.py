"""Embeddings of every rank as negatives of each, with their gradients.

Each rank's loss is the mean over its own anchors; a trainer that averages gradients over ranks then
has the gradient of the mean over all anchors, as one process with the whole batch would.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather


def world_size() -> int:
    """Processes that train together; 1 without distribution."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather_rows(x: Tensor) -> tuple[Tensor, int]:
    """Rows of every rank, and where this rank's own begin.

    Args:
        x: (B_r, ...) of this rank; B may differ between ranks, the rest may not.

    Returns:
        (sum of B_r, ...) in the order of the ranks, gradients flowing back to each, and an offset.
    """
    if world_size() == 1:
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
    parts = [torch.empty_like(x) for _ in range(world_size())]
    distributed.all_gather(parts, x.contiguous())
    return parts

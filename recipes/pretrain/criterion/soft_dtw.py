"""Soft dynamic time warping (Cuturi and Blondel 2017), over anti-diagonals [S; band and divergence O].

    r[i, j] = cost[i, j] + softmin_γ(r[i−1, j−1], r[i−1, j], r[i, j−1])

All cells of an anti-diagonal depend on the two before it only, so a batch takes N + M − 1 steps. The
gradient of the last cell by each cost is the probability that a warping path, drawn with weight
e^{−cost/γ}, goes through the cell. It is known when the forward pass is done, so both passes run at
once, and what is kept for back-propagation is one number a cell.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

NO_PATH = -1e30
"""Score of a cell that no path reaches: finite, so that differences are numbers."""


def soft_dtw(
    cost: Tensor,
    gamma: float,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    band: int | None = None,
) -> Tensor:
    """Soft-minimal cost of a monotone path from the first cell to the last.

    Args:
        cost: (B, N, M), finite where it counts.
        gamma: softness, above 0; towards 0 it becomes the hard minimum.
        rows, columns: (B,) lengths of each item, int64, at least 1; N and M by default.
        band: how far a path may be from the diagonal, |i − j| ≤ band; a wider one is taken where
            lengths differ, so that there is a path.

    Returns:
        (B,). Twice differentiation is not supported.

    Raises:
        ValueError: a softness, a band or lengths that cannot be.
    """
    if cost.dim() != 3 or 0 in cost.shape[1:]:
        raise ValueError(f"cost has shape {tuple(cost.shape)}; expected (B, N, M) with N and M at least 1")
    if not gamma > 0 or (band is not None and band < 0):
        raise ValueError(f"gamma must be above 0 and band at least 0, got {gamma} and {band}")
    batch, size, width = cost.shape
    rows = torch.full((batch,), size, device=cost.device) if rows is None else rows
    columns = torch.full((batch,), width, device=cost.device) if columns is None else columns
    if batch and (
        int(rows.min()) < 1 or int(columns.min()) < 1 or int(rows.max()) > size or int(columns.max()) > width
    ):
        raise ValueError(f"lengths must lie between 1 and N = {size}, M = {width}")
    if band is not None and batch:
        band += int((rows - columns).abs().max())
    value: Tensor = _SoftDTW.apply(cost.permute(1, 2, 0), gamma, rows, columns, band)  # type: ignore[no-untyped-call]
    return value


def soft_dtw_divergence(
    first: Tensor,
    second: Tensor,
    gamma: float,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    band: int | None = None,
) -> Tensor:
    """soft-DTW of two series less the mean of each with itself (Blondel, Mensch and Vert 2021).

    Soft-DTW of a series with itself is not 0; this is, and is at least 0.

    Args:
        first: (B, N, C) series; the cost is the squared Euclidean distance.
        second: (B, M, C) series.
        gamma, rows, columns, band: as for :func:`soft_dtw`.

    Returns:
        (B,).
    """
    size = max(first.shape[1], second.shape[1])
    batch = len(first)
    rows = torch.full((batch,), first.shape[1], device=first.device) if rows is None else rows
    columns = torch.full((batch,), second.shape[1], device=first.device) if columns is None else columns
    # All three in one pass: the steps along the diagonals cost the same for a batch three times as big.
    first, second = (F.pad(x, (0, 0, 0, size - x.shape[1])) for x in (first, second))
    left, right = torch.cat([first, first, second]), torch.cat([second, first, second])
    cost = (left[:, :, None] - right[:, None]).square().sum(-1)
    values = soft_dtw(
        cost, gamma, torch.cat([rows, rows, columns]), torch.cat([columns, rows, columns]), band
    )
    between, within_first, within_second = values.unflatten(0, (3, batch))
    divergence: Tensor = between - (within_first + within_second) / 2
    return divergence


class _SoftDTW(torch.autograd.Function):
    """Forward and backward pass along the diagonals; the batch is the last dimension, so that a
    diagonal's cells lie side by side in memory."""

    @staticmethod
    def forward(
        ctx: Any, cost: Tensor, gamma: float, rows: Tensor, columns: Tensor, band: int | None
    ) -> Tensor:
        dtype = torch.promote_types(cost.dtype, torch.float32)
        size, width, batch = cost.shape
        diagonals = size + width - 1
        # In base 2, whose exponential is the fastest, and with the sign of a score.
        scale = -math.log2(math.e) / gamma
        skewed = _on_diagonals(cost.to(dtype) * scale)
        # score[k + 2, i + 1] is that of cell (i, k − i); the rims are cells before the first.
        score = cost.new_full((diagonals + 2, size + 1, batch), NO_PATH, dtype=dtype)
        score[0, 0] = 0.0
        came_from = cost.new_empty((diagonals, 3, size, batch), dtype=dtype)
        spans = [_span(k, size, width, band) for k in range(diagonals)]
        for k, (low, high) in enumerate(spans):
            up, left = score[k + 1, low:high], score[k + 1, low + 1 : high + 1]
            across, share = score[k, low:high], came_from[k, :, low:high]
            best = torch.maximum(up, left)
            torch.maximum(best, across, out=best)
            for part, before in zip(share, (up, left, across), strict=True):
                torch.sub(before, best, out=part)
            share.exp2_()
            total = share[0] + share[1]
            total += share[2]
            share /= total
            best += total.log2_()
            torch.add(best, skewed[k, low:high], out=score[k + 2, low + 1 : high + 1])
        item = torch.arange(batch, device=cost.device)
        value = score[rows + columns, rows, item] / scale
        if ctx.needs_input_grad[0]:
            through = torch.zeros_like(score)
            through[rows + columns, rows, item] = 1.0
            for k in range(diagonals - 1, -1, -1):
                low, high = spans[k]
                here, share = through[k + 2, low + 1 : high + 1], came_from[k, :, low:high]
                through[k + 1, low:high].addcmul_(here, share[0])
                through[k + 1, low + 1 : high + 1].addcmul_(here, share[1])
                through[k, low:high].addcmul_(here, share[2])
            ctx.save_for_backward(_off_diagonals(through[2:, 1:], width))
        return value.to(cost.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (through,) = ctx.saved_tensors
        return (through * grad).to(grad.dtype), None, None, None, None


def _span(k: int, size: int, width: int, band: int | None) -> tuple[int, int]:
    """First row and the row after the last of diagonal k within matrix and band."""
    low, high = max(0, k - width + 1), min(k, size - 1) + 1
    if band is not None:
        low, high = max(low, -((band - k) // 2)), min(high, (k + band) // 2 + 1)
    return low, max(low, high)


def _on_diagonals(x: Tensor) -> Tensor:
    """(N, M, B) to (N + M − 1, N, B): cell (i, j) to diagonal i + j, row i; 0 beside the matrix."""
    size, width, batch = x.shape
    skewed = F.pad(x, (0, 0, 0, size)).flatten(0, 1)[: size * (size + width - 1)]
    return skewed.view(size, size + width - 1, batch).transpose(0, 1).contiguous()


def _off_diagonals(x: Tensor, width: int) -> Tensor:
    """The reverse of :func:`_on_diagonals`, as a copy."""
    _, size, batch = x.shape
    step, row, item = x.stride()
    return x.as_strided((size, width, batch), (step + row, step, item), x.storage_offset()).contiguous()

"""Soft dynamic time warping (Cuturi and Blondel 2017), over anti-diagonals [S; band and divergence O].

    r[i, j] = cost[i, j] + softmin_γ(r[i−1, j−1], r[i−1, j], r[i, j−1])

The cells of an anti-diagonal depend only on the two previous anti-diagonals, so a batch takes N + M − 1
steps. The gradient of the last cell with respect to a cost is the probability that a warping path, drawn with
weight e^{−cost/γ}, passes through the cell. The forward pass computes it too, so that only one number per
cell is stored for back-propagation.

On CPUs in float32, the recursion is compiled (``soft_dtw_compiled``) and several times faster. The
anti-diagonals serve GPUs and float64, and are the reference in tests of the compiled version.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK_SIZE = 1024
"""Items of a batch that are computed at a time."""

NO_PATH = -1e30
"""Score of a cell that no path reaches; finite, so that differences are not NaN."""


def soft_dtw(
    cost: Tensor,
    gamma: float,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    band: int | None = None,
) -> Tensor:
    """Compute the soft minimum of the costs of monotone paths from the first cell to the last.

    Args:
        cost: (B, N, M), finite within the lengths.
        gamma: softness, above 0; the limit 0 is the hard minimum.
        rows, columns: (B,) int64 lengths of each item, at least 1; N and M by default.
        band: maximum distance |i − j| from the diagonal; increased by the largest difference of lengths, so
            that every item has a path.

    Returns:
        (B,) values. Second derivatives are not supported.

    Raises:
        ValueError: invalid shape, softness, band or lengths.
    """
    if cost.dim() != 3 or 0 in cost.shape[1:]:
        raise ValueError(f"cost has shape {tuple(cost.shape)}; expected (B, N, M) with N and M at least 1")
    if not gamma > 0 or (band is not None and band < 0):
        raise ValueError(f"gamma must be above 0 and band at least 0, got {gamma} and {band}")
    batch, size, width = cost.shape
    ragged = rows is not None or columns is not None
    rows = torch.full((batch,), size, device=cost.device) if rows is None else rows
    columns = torch.full((batch,), width, device=cost.device) if columns is None else columns
    if batch and (
        int(rows.min()) < 1 or int(columns.min()) < 1 or int(rows.max()) > size or int(columns.max()) > width
    ):
        raise ValueError(f"lengths must lie between 1 and N = {size}, M = {width}")
    if band is not None and batch:
        band += int((rows - columns).abs().max())
    # Half precision is too coarse for the probabilities.
    cost = cost.to(torch.promote_types(cost.dtype, torch.float32))
    if cost.device.type == "cpu" and cost.dtype == torch.float32:
        value: Tensor = _CompiledSoftDTW.apply(cost, gamma, rows, columns, band)  # type: ignore[no-untyped-call]
        return value
    if ragged:  # NaN and infinity in the padding must not spread
        row, column = (torch.arange(n, device=cost.device) for n in (size, width))
        within = (row < rows[:, None])[:, :, None] & (column < columns[:, None])[:, None]
        cost = torch.where(within, cost, 0.0)
    value = _SoftDTW.apply(cost.permute(1, 2, 0), gamma, rows, columns, band)  # type: ignore[no-untyped-call]
    return value


def soft_dtw_divergence(
    first: Tensor,
    second: Tensor,
    gamma: float,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    band: int | None = None,
) -> Tensor:
    """Soft-DTW of two series minus the mean of soft-DTW of each with itself (Blondel, Mensch and Vert 2021).

    Unlike soft-DTW, it is at least 0, and 0 for equal series.

    Args:
        first: (B, N, C) series; the cost is the squared Euclidean distance.
        second: (B, M, C) series.
        gamma, rows, columns, band: as for :func:`soft_dtw`.

    Returns:
        (B,) values.
    """
    size = max(first.shape[1], second.shape[1])
    batch = len(first)
    rows = torch.full((batch,), first.shape[1], device=first.device) if rows is None else rows
    columns = torch.full((batch,), second.shape[1], device=first.device) if columns is None else columns
    # All three in one pass: a step along the diagonals takes about as long for a batch of three times the
    # size.
    first, second = (F.pad(x, (0, 0, 0, size - x.shape[1])) for x in (first, second))
    cost = squared_distances(torch.cat([first, first, second]), torch.cat([second, first, second]))
    values = soft_dtw(
        cost, gamma, torch.cat([rows, rows, columns]), torch.cat([columns, rows, columns]), band
    )
    between, within_first, within_second = values.unflatten(0, (3, batch))
    divergence: Tensor = between - (within_first + within_second) / 2
    return divergence


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Squared Euclidean distances (B, N, M) of series (B, N, C) and (B, M, C), C at least 1."""
    # Channel by channel: sums over a last dimension of 1 or 2 are slow.
    channels = zip(first.unbind(2), second.unbind(2), strict=True)
    distances = sum((x[:, :, None] - y[:, None]).square() for x, y in channels)
    assert isinstance(distances, Tensor)
    return distances


class _CompiledSoftDTW(torch.autograd.Function):
    """The compiled recursion, for (B, N, M) costs in float32 on CPUs."""

    @staticmethod
    def forward(
        ctx: Any, cost: Tensor, gamma: float, rows: Tensor, columns: Tensor, band: int | None
    ) -> Tensor:
        from recipes.pretrain.criterion.soft_dtw_compiled import compiled_soft_dtw

        value, gradient = compiled_soft_dtw(
            cost.detach().contiguous().numpy(),
            gamma,
            rows.numpy(),
            columns.numpy(),
            band,
            with_gradient=ctx.needs_input_grad[0],
            threads=torch.get_num_threads(),
        )
        ctx.save_for_backward(torch.from_numpy(gradient))
        return torch.from_numpy(value)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[:, None, None], None, None, None, None


class _SoftDTW(torch.autograd.Function):
    """The recursion along anti-diagonals, for (N, M, B) costs of any floating type on any device.

    The batch is the last dimension, so that the cells of a diagonal are contiguous in memory. It is processed
    in chunks, so that the buffers fit in the cache and their views are created once.
    """

    @staticmethod
    def forward(
        ctx: Any, cost: Tensor, gamma: float, rows: Tensor, columns: Tensor, band: int | None
    ) -> Tensor:
        size, width, batch = cost.shape
        value = cost.new_empty(batch)
        # Scores in base 2, whose exponential is the fastest; higher is better.
        scale = -math.log2(math.e) / gamma
        chunk = min(CHUNK_SIZE, max(batch, 1))
        diagonals = size + width - 1
        # Cell (i, j) is row i of diagonal i + j. `score` and `through` are padded before the first cells.
        skewed = cost.new_zeros(diagonals, size, chunk)
        score = cost.new_full((diagonals + 2, size + 1, chunk), NO_PATH)
        came_from = cost.new_empty(diagonals, 3, size, chunk)
        through = cost.new_zeros(diagonals + 2, size + 1, chunk)
        forward_steps = list(_forward_steps(skewed, score, came_from, width, band))
        backward_steps = list(_backward_steps(through, came_from, width, band))
        cells_in, cells_out = _cells(skewed, width), _cells(through[2:, 1:], width)
        gradient = torch.empty_like(cost) if ctx.needs_input_grad[0] else None
        for first in range(0, batch, chunk):
            part = slice(first, min(first + chunk, batch))
            count = part.stop - first
            torch.mul(cost[..., part], scale, out=cells_in[..., :count])
            score[0, 0] = 0.0
            for step in forward_steps:
                torch.maximum(step.up, step.left, out=step.best)
                torch.maximum(step.best, step.across, out=step.best)
                torch.sub(step.before, step.best, out=step.from_before)
                torch.sub(step.across, step.best, out=step.from_across)
                step.share.exp2_()
                torch.add(step.from_up, step.from_left, out=step.total).add_(step.from_across)
                step.share.div_(step.total)
                torch.add(step.best.add_(step.total.log2_()), step.cost, out=step.score)
            item = torch.arange(count, device=cost.device)
            end = rows[part] + columns[part], rows[part], item
            value[part] = score[end] / scale
            if gradient is not None:
                through.zero_()
                through[end] = 1.0
                for cells, targets, shares in backward_steps:
                    for target, share in zip(targets, shares, strict=True):
                        target.addcmul_(cells, share)
                gradient[..., part] = cells_out[..., :count]
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None, None, None, None


@dataclass(frozen=True)
class _Step:
    """Views of the buffers that the forward pass reads and writes on one diagonal."""

    before: Tensor
    """(2, L, B) scores of the cells above and on the left."""
    up: Tensor
    left: Tensor
    across: Tensor
    share: Tensor
    """(3, L, B) probabilities of the steps from above, from the left, and across."""
    from_before: Tensor
    """(2, L, B) the first two of them."""
    from_up: Tensor
    from_left: Tensor
    from_across: Tensor
    best: Tensor
    total: Tensor
    cost: Tensor
    score: Tensor


def _forward_steps(
    skewed: Tensor, score: Tensor, came_from: Tensor, width: int, band: int | None
) -> Iterator[_Step]:
    diagonals, size, chunk = skewed.shape
    best, total = skewed.new_empty(2, min(size, width), chunk)
    for k in range(diagonals):
        low, high = _span(k, size, width, band)
        length, last = high - low, score[k + 1]
        # In the last diagonal, row i − 1 is above and row i is on the left; the padding adds 1 to rows.
        before = last.as_strided((2, length, chunk), (chunk, chunk, 1), last.storage_offset() + low * chunk)
        share = came_from[k, :, low:high]
        yield _Step(
            before,
            before[0],
            before[1],
            score[k, low:high],
            share,
            share[:2],
            share[0],
            share[1],
            share[2],
            best[:length],
            total[:length],
            skewed[k, low:high],
            score[k + 2, low + 1 : high + 1],
        )


def _backward_steps(
    through: Tensor, came_from: Tensor, width: int, band: int | None
) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]]:
    """From the last diagonal: its cells, their predecessors, and the probability of each."""
    diagonals, _, size, _ = came_from.shape
    for k in range(diagonals - 1, -1, -1):
        low, high = _span(k, size, width, band)
        targets = through[k + 1, low:high], through[k + 1, low + 1 : high + 1], through[k, low:high]
        yield through[k + 2, low + 1 : high + 1], targets, came_from[k, :, low:high].unbind(0)


def _span(k: int, size: int, width: int, band: int | None) -> tuple[int, int]:
    """Range of rows of diagonal k within the matrix and the band."""
    low, high = max(0, k - width + 1), min(k, size - 1) + 1
    if band is not None:
        low, high = max(low, -((band - k) // 2)), min(high, (k + band) // 2 + 1)
    return low, max(low, high)


def _cells(x: Tensor, width: int) -> Tensor:
    """View (N + M − 1, N, B) diagonals as (N, M, B) cells."""
    _, size, batch = x.shape
    step, row, item = x.stride()
    return x.as_strided((size, width, batch), (step + row, step, item), x.storage_offset())

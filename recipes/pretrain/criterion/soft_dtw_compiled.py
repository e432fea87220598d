"""Soft-DTW in float32 on a processor: the recursion of ``soft_dtw`` compiled by numba.

Importing this module imports numba; what needs it only now and then imports it when called.

A block of items goes through the cells together, an item per lane, so that the compiler does a cell of
all of them in a few vector instructions; exponential and logarithm are polynomials for the same reason.
Threads share out whole blocks. What comes out therefore does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Floats = NDArray[np.float32]

LANES = 16
"""Items of a block."""

NO_PATH = np.float32(-1e30)
"""Score of a cell that no path reaches: finite, so that differences are numbers."""

LEAST_POWER = np.float32(-60.0)
"""A way in that is less likely than 2 to this is taken for this likely: it no longer counts."""

LEAST_PROBABILITY = np.float32(1e-18)
"""Cells less likely than this are taken for never passed: denormal numbers are a hundred times slower."""

CELLS_PER_THREAD = 2**20
"""About 4 ms; for less, waking a thread beside torch's own takes longer than it saves."""

ZERO, ONE = np.float32(0), np.float32(1)


def _polynomial(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], degree: int, low: float, high: float
) -> list[np.float32]:
    """Coefficients, highest first, of the polynomial through the function at Chebyshev points."""
    turns = (np.arange(degree + 1) + 0.5) / (degree + 1)
    points = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * turns)
    return [np.float32(c) for c in np.polyfit(points, function(points), degree)]


# 2^x for x in [0, 1], to 2e-7.
E5, E4, E3, E2, E1, E0 = _polynomial(np.exp2, 5, 0.0, 1.0)

# log2(x) = log2(√3) + s·p(s²) with s = (x − √3) / (x + √3), for x in [1, 3], to 2e-7.
ROOT = np.float32(np.sqrt(3))
HALF_OF_3 = np.float32(np.log2(3) / 2)
FURTHEST = ((np.sqrt(3) - 1) / (np.sqrt(3) + 1)) ** 2
L3, L2, L1, L0 = _polynomial(lambda z: 2 / np.log(2) * np.arctanh(np.sqrt(z)) / np.sqrt(z), 3, 0.0, FURTHEST)


def _compiled(function: Function) -> Function:
    """Compile at the first call; kept on disk where there is a folder to keep it in."""

    def compiled(cache: bool) -> Any:
        # An exception for a division by 0 would keep loops from becoming vectors.
        return numba.njit(cache=cache, nogil=True, error_model="numpy", fastmath={"contract"})(function)

    try:
        kept: Function = compiled(cache=True)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        kept = compiled(cache=False)
    return kept


@_compiled
def _exp2(x: Any) -> Any:
    """2^x for x ≤ 0."""
    x = max(x, LEAST_POWER)
    whole = np.floor(x)
    x = x - whole
    fraction = ((((E5 * x + E4) * x + E3) * x + E2) * x + E1) * x + E0
    # A float's exponent is its bits from the 23rd on, and stands for 0 at 127.
    return fraction * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@_compiled
def _log2(x: Any) -> Any:
    """log2 of x in [1, 3]."""
    s = (x - ROOT) / (x + ROOT)
    z = s * s
    return HALF_OF_3 + s * (((L3 * z + L2) * z + L1) * z + L0)


@_compiled
def _blocks(
    cost: Any,
    scale: Any,
    rows: Any,
    columns: Any,
    band: Any,
    value: Any,
    gradient: Any,
    with_gradient: Any,
    first: Any,
    last: Any,
) -> None:
    """Both passes for items first to last; first is a multiple of LANES."""
    size, width = cost.shape[1:]
    came_from = np.empty((size, width, 3 * LANES), np.float32)
    here = np.empty((width, LANES), np.float32)
    line = np.empty((width, LANES), np.float32)
    # Of the cell done last: what its neighbour in the row needs of it, and what of the one above it.
    carried = np.empty(2 * LANES, np.float32)
    for start in range(first, last, LANES):
        count = min(LANES, last - start)
        deepest = rows[start : start + count].max()
        # The scores of a row take the place of those of the row above.
        line[:] = NO_PATH
        here[:] = ZERO
        for i in range(deepest):
            low, high = max(0, i - band), min(width, i + band + 1)
            for b in range(count):
                within = min(high, columns[start + b]) if i < rows[start + b] else low
                for j in range(low, within):
                    here[j, b] = cost[start + b, i, j] * scale
                for j in range(within, high):
                    here[j, b] = ZERO
            for b in range(LANES):
                carried[b] = NO_PATH
                carried[LANES + b] = NO_PATH
            if low > 0:
                carried[LANES:] = line[low - 1]
            if i == 0:
                carried[LANES:] = ZERO
            for j in range(low, high):
                for b in range(LANES):
                    up, left, across = line[j, b], carried[b], carried[LANES + b]
                    best = max(max(up, left), across)
                    from_up, from_left, from_across = (
                        _exp2(up - best),
                        _exp2(left - best),
                        _exp2(across - best),
                    )
                    total = from_up + from_left + from_across
                    part = ONE / total
                    came_from[i, j, b] = from_up * part
                    came_from[i, j, LANES + b] = from_left * part
                    came_from[i, j, 2 * LANES + b] = from_across * part
                    score = best + _log2(total) + here[j, b]
                    line[j, b] = score
                    carried[b] = score
                    carried[LANES + b] = up
            for b in range(count):
                if rows[start + b] == i + 1:
                    value[start + b] = line[columns[start + b] - 1, b] / scale
        if not with_gradient:
            continue
        # Now it is the probabilities of the paths' cells, from the last row up.
        line[:] = ZERO
        for i in range(deepest - 1, -1, -1):
            low, high = max(0, i - band), min(width, i + band + 1)
            for b in range(count):
                if rows[start + b] == i + 1:
                    line[columns[start + b] - 1, b] = ONE
            carried[:] = ZERO
            for j in range(high - 1, low - 1, -1):
                for b in range(LANES):
                    through = line[j, b] + carried[b]
                    through = ZERO if through < LEAST_PROBABILITY else through
                    here[j, b] = through
                    line[j, b] = through * came_from[i, j, b] + carried[LANES + b]
                    carried[b] = through * came_from[i, j, LANES + b]
                    carried[LANES + b] = through * came_from[i, j, 2 * LANES + b]
            if low > 0:
                line[low - 1] = carried[LANES:]
            for b in range(count):
                for j in range(low, high):
                    gradient[start + b, i, j] = here[j, b]


def compiled_soft_dtw(
    cost: Floats,
    gamma: float,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    band: int | None,
    *,
    with_gradient: bool,
    threads: int,
) -> tuple[Floats, Floats]:
    """Values of soft-DTW, and their gradients by the costs.

    Args:
        cost: (B, N, M).
        gamma: softness, above 0.
        rows, columns: (B,) lengths of each item.
        band: how far a path may be from the diagonal, wide enough to let each item have one.
        with_gradient: whether gradients are wanted.
        threads: at most so many at work.

    Returns:
        (B,) and (B, N, M), zeros where none is wanted.
    """
    batch, size, width = cost.shape
    value, gradient = np.empty(batch, np.float32), np.zeros(cost.shape, np.float32)
    # In base 2, whose exponential is the fastest, and with the sign of a score.
    scale = np.float32(-np.log2(np.e) / gamma)
    reach = max(size, width) if band is None else band

    def work(first: int, last: int) -> None:
        _blocks(cost, scale, rows, columns, reach, value, gradient, with_gradient, first, last)

    blocks = -(-batch // LANES)
    threads = max(1, min(threads, blocks, cost.size // CELLS_PER_THREAD))
    edges = [min(batch, blocks * k // threads * LANES) for k in range(threads + 1)]
    if threads == 1:
        work(0, batch)
    else:  # the first share here, the others beside it
        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(work, *share) for share in pairwise(edges[1:])]
            work(edges[0], edges[1])
            for other in others:
                other.result()
    return value, gradient

"""Soft-DTW in float32 on CPUs: the recursion of ``soft_dtw`` compiled by numba.

Importing this module imports numba, so import it only where it is used.

The items of a block are processed together, one per lane, so that the compiler uses vector instructions.
Exponential and logarithm are polynomials for the same reason. Threads process whole blocks, so that results
do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Floats = NDArray[np.float32]

LANES = 16
"""Items per block."""

NO_PATH = np.float32(-1e30)
"""Score of a cell that no path reaches; finite, so that differences are not NaN."""

MIN_EXPONENT = np.float32(-60.0)
"""Binary exponents are clipped to this minimum; smaller probabilities are negligible."""

MIN_PROBABILITY = np.float32(1e-18)
"""Smaller probabilities are set to 0: denormal numbers are a hundred times slower."""

CELLS_PER_THREAD = 2**20
"""Minimum work of a thread, about 4 ms; for less, starting a thread takes longer than it saves."""

ZERO, ONE = np.float32(0), np.float32(1)


def _polynomial(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], degree: int, low: float, high: float
) -> list[np.float32]:
    """Coefficients, highest first, of the polynomial that interpolates the function at Chebyshev points."""
    zeros = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    points = (low + high) / 2 + (high - low) / 2 * zeros
    return [np.float32(c) for c in np.polyfit(points, function(points), degree)]


# 2^x for x in [0, 1], error 2e-7.
E5, E4, E3, E2, E1, E0 = _polynomial(np.exp2, 5, 0.0, 1.0)

# log2(x) = log2(√3) + s·p(s²) with s = (x − √3) / (x + √3), for x in [1, 3], error 2e-7.
SQRT_3 = np.float32(np.sqrt(3))
LOG2_SQRT_3 = np.float32(np.log2(3) / 2)
MAX_Z = ((np.sqrt(3) - 1) / (np.sqrt(3) + 1)) ** 2
L3, L2, L1, L0 = _polynomial(lambda z: 2 / np.log(2) * np.arctanh(np.sqrt(z)) / np.sqrt(z), 3, 0.0, MAX_Z)


def _compiled(function: Function) -> Function:
    """Compile a function at its first call, with a cache on disk if there is a writable folder."""

    def compiled(cache: bool) -> Any:
        # error_model="numpy": exceptions for division by 0 would prevent vectorisation.
        return numba.njit(cache=cache, nogil=True, error_model="numpy", fastmath={"contract"})(function)

    try:
        result: Function = compiled(cache=True)
    except RuntimeError:  # neither the folder of the package nor the cache of the user is writable
        result = compiled(cache=False)
    return result


@_compiled
def _exp2(x: Any) -> Any:
    """2^x for x ≤ 0."""
    x = max(x, MIN_EXPONENT)
    whole = np.floor(x)
    x = x - whole
    fraction = ((((E5 * x + E4) * x + E3) * x + E2) * x + E1) * x + E0
    # The exponent of a float32 is in the bits from 23, with bias 127.
    return fraction * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@_compiled
def _log2(x: Any) -> Any:
    """log2 of x in [1, 3]."""
    s = (x - SQRT_3) / (x + SQRT_3)
    z = s * s
    return LOG2_SQRT_3 + s * (((L3 * z + L2) * z + L1) * z + L0)


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
    """Run both passes for items ``first`` to ``last``; ``first`` is a multiple of LANES."""
    size, width = cost.shape[1:]
    came_from = np.empty((size, width, 3 * LANES), np.float32)
    here = np.empty((width, LANES), np.float32)
    line = np.empty((width, LANES), np.float32)
    # Values that the next cell of the row needs: those of the previous cell, and of the cell above that one.
    carried = np.empty(2 * LANES, np.float32)
    for start in range(first, last, LANES):
        count = min(LANES, last - start)
        max_rows = rows[start : start + count].max()
        # Scores of a row overwrite those of the row above.
        line[:] = NO_PATH
        here[:] = ZERO
        for i in range(max_rows):
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
        # In the backward pass, `line` contains probabilities, from the last row up.
        line[:] = ZERO
        for i in range(max_rows - 1, -1, -1):
            low, high = max(0, i - band), min(width, i + band + 1)
            for b in range(count):
                if rows[start + b] == i + 1:
                    line[columns[start + b] - 1, b] = ONE
            carried[:] = ZERO
            for j in range(high - 1, low - 1, -1):
                for b in range(LANES):
                    through = line[j, b] + carried[b]
                    through = ZERO if through < MIN_PROBABILITY else through
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
    """Compute soft-DTW and its gradients with respect to the costs.

    Args:
        cost: (B, N, M).
        gamma: softness, above 0.
        rows, columns: (B,) lengths of each item.
        band: maximum distance of a path from the diagonal, wide enough for every item to have a path.
        with_gradient: whether to compute gradients.
        threads: maximum number of threads.

    Returns:
        (B,) values, and (B, N, M) gradients, zeros without ``with_gradient``.
    """
    batch, size, width = cost.shape
    value, gradient = np.empty(batch, np.float32), np.zeros(cost.shape, np.float32)
    # Scores in base 2, whose exponential is the fastest; higher is better.
    scale = np.float32(-np.log2(np.e) / gamma)
    half_width = max(size, width) if band is None else band

    def work(first: int, last: int) -> None:
        _blocks(cost, scale, rows, columns, half_width, value, gradient, with_gradient, first, last)

    blocks = -(-batch // LANES)
    threads = max(1, min(threads, blocks, cost.size // CELLS_PER_THREAD))
    edges = [min(batch, blocks * k // threads * LANES) for k in range(threads + 1)]
    if threads == 1:
        work(0, batch)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, edges[:-1], edges[1:]))
    return value, gradient

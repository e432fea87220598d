"""soft-DTW against the recursion itself, its gradient against finite differences."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recipes.pretrain.criterion.soft_dtw import soft_dtw, soft_dtw_divergence


def loop_soft_dtw(cost: Tensor, gamma: float, band: int | None = None) -> Tensor:
    """The recursion, cell by cell, of one item (N, M)."""
    infinite = torch.tensor(math.inf, dtype=cost.dtype)
    values = {(-1, -1): torch.zeros((), dtype=cost.dtype)}
    for i, j in itertools.product(*map(range, cost.shape)):
        if band is not None and abs(i - j) > band:
            continue
        predecessors = [values.get(cell, infinite) for cell in ((i - 1, j - 1), (i - 1, j), (i, j - 1))]
        scores = torch.stack([-value / gamma for value in predecessors if value.isfinite()])
        values[i, j] = cost[i, j] - gamma * torch.logsumexp(scores, 0)
    return values[cost.shape[0] - 1, cost.shape[1] - 1]


sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))


@settings(deadline=None, max_examples=40)
@given(sizes, st.sampled_from([0.01, 0.3, 5.0]), st.none() | st.integers(0, 3), st.integers(0, 10**6))
def test_equals_the_recursion_in_value_and_gradient(
    size: tuple[int, int], gamma: float, band: int | None, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    cost = torch.rand(3, *size, generator=draw, dtype=torch.float64).requires_grad_()
    rows, columns = (torch.randint(1, maximum + 1, (3,), generator=draw) for maximum in size)
    effective_band = None if band is None else band + int((rows - columns).abs().max())
    fast = soft_dtw(cost, gamma, rows, columns, band)
    slow = torch.stack(
        [loop_soft_dtw(c[:n, :m], gamma, effective_band) for c, n, m in zip(cost, rows, columns, strict=True)]
    )
    assert torch.allclose(fast, slow, atol=1e-9)
    weight = torch.rand(3, generator=draw, dtype=torch.float64)
    (gradient,), (expected,) = (torch.autograd.grad(value @ weight, cost) for value in (fast, slow))
    assert torch.allclose(gradient, expected, atol=1e-9)


def test_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    first, second = (torch.randn(2, n, 2, dtype=torch.float64, requires_grad=True) for n in (6, 5))
    rows, columns = torch.tensor([6, 4]), torch.tensor([5, 3])
    assert torch.autograd.gradcheck(
        lambda x, y: soft_dtw_divergence(x, y, 0.2, rows, columns, band=2), (first, second), atol=1e-6
    )


@settings(deadline=None, max_examples=20)
@given(sizes, st.integers(0, 10**6))
def test_small_gamma_gives_the_cheapest_path(size: tuple[int, int], seed: int) -> None:
    cost = torch.rand(1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cheapest = {(-1, -1): 0.0}
    for i, j in itertools.product(*map(range, size)):
        predecessors = [cheapest.get(cell, math.inf) for cell in ((i - 1, j - 1), (i - 1, j), (i, j - 1))]
        cheapest[i, j] = cost[0, i, j].item() + min(predecessors)
    assert soft_dtw(cost, 1e-5).item() == pytest.approx(cheapest[size[0] - 1, size[1] - 1], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_overflows_over_2000_steps(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    first = torch.rand(1, 2000, 1, dtype=dtype, requires_grad=True)
    value = soft_dtw_divergence(first, 10 * torch.rand(1, 2000, 1, dtype=dtype), 1e-3, band=50)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 8), st.floats(0.01, 2), st.integers(0, 10**6))
def test_the_divergence_is_0_from_itself_and_never_below(length: int, gamma: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, 2, length, 1, generator=draw, dtype=torch.float64)
    assert torch.allclose(soft_dtw_divergence(first, first, gamma), torch.zeros(2, dtype=torch.float64))
    assert (soft_dtw_divergence(first, second, gamma) > -1e-9).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 5), st.integers(0, 10**6))
def test_padding_does_not_matter(extra: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, 3, 6, 1, generator=draw, dtype=torch.float64)
    lengths = torch.tensor([6, 6, 6])
    plain = soft_dtw_divergence(first, second, 0.1, band=2)
    longer = torch.nn.functional.pad(first, (0, 0, 0, extra), value=1e3)
    assert torch.allclose(plain, soft_dtw_divergence(longer, second, 0.1, lengths, lengths, band=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": 0.0}, "gamma must be above 0"),
        ({"gamma": float("nan")}, "gamma must be above 0"),
        ({"band": -1}, "band at least 0"),
        ({"rows": torch.tensor([0, 3])}, "lengths must lie"),
        ({"columns": torch.tensor([9, 3])}, "lengths must lie"),
        ({"cost": torch.zeros(2, 0, 3)}, "expected"),
    ],
)
def test_invalid_arguments_are_refused(changes: dict[str, object], message: str) -> None:
    arguments = {"cost": torch.zeros(2, 4, 5), "gamma": 1.0, **changes}
    with pytest.raises(ValueError, match=message):
        soft_dtw(**arguments)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 7), st.integers(1, 4), st.none() | st.integers(0, 2), st.integers(0, 10**6))
def test_chunks_equal_the_whole_batch(batch: int, chunk: int, band: int | None, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    cost = torch.rand(batch, 5, 6, generator=draw, dtype=torch.float64).requires_grad_()
    rows, columns = (torch.randint(1, maximum + 1, (batch,), generator=draw) for maximum in (5, 6))
    values = []
    for size in (1024, chunk):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("recipes.pretrain.criterion.soft_dtw.CHUNK_SIZE", size)
            value = soft_dtw(cost, 0.2, rows, columns, band)
            values.append((value, *torch.autograd.grad(value.sum(), cost)))
    for whole, parts in zip(*values, strict=True):
        assert torch.allclose(whole, parts, rtol=0, atol=1e-12)

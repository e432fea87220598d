"""The compiled soft-DTW against the anti-diagonals in float64, which are tested against the recursion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recipes.pretrain.criterion import soft_dtw_compiled
from recipes.pretrain.criterion.soft_dtw import soft_dtw, soft_dtw_divergence
from recipes.pretrain.criterion.soft_dtw_compiled import LANES

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@pytest.fixture(autouse=True)
def one_thread_afterwards() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def value_and_gradient(cost: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    cost = cost.detach().requires_grad_()
    value = soft_dtw(cost, *arguments)
    return value.detach(), torch.autograd.grad(value.sum(), cost)[0]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 2 * LANES + 3),
    sizes,
    st.sampled_from([1e-3, 0.05, 5.0]),
    st.none() | st.integers(0, 4),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_equals_the_anti_diagonals_in_float64(
    batch: int, size: tuple[int, int], gamma: float, band: int | None, ragged: bool, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    cost = torch.rand(batch, *size, generator=draw)
    lengths = [
        torch.randint(1, maximum + 1, (batch,), generator=draw) if ragged else None for maximum in size
    ]
    value, gradient = value_and_gradient(cost, gamma, *lengths, band)
    assert value.dtype == gradient.dtype == torch.float32
    for actual, expected in zip(
        (value, gradient), value_and_gradient(cost.double(), gamma, *lengths, band), strict=True
    ):
        # In float32 scores of up to 12 / gamma are known to this only, and probabilities with them.
        assert torch.allclose(
            actual.double(), expected, rtol=1e-5, atol=1e-5 + 3e-6 / gamma * (actual.dim() == 3)
        )


@pytest.mark.slow
def test_small_gamma_over_many_steps_equals_float64() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 1, 2000, 1)
    value = soft_dtw_divergence(first, second, 1e-3)
    assert torch.allclose(
        value.double(), soft_dtw_divergence(first.double(), second.double(), 1e-3), rtol=1e-4
    )


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_dtw_compiled, "CELLS_PER_THREAD", 1)
    cost = torch.rand(5 * LANES + 1, 9, 11, generator=torch.Generator().manual_seed(0))
    results = []
    for threads in (1, 2, 3, 16, 2):
        torch.set_num_threads(threads)
        results.append(value_and_gradient(cost, 0.05, None, None, 3))
    for others in results[1:]:
        assert all(map(torch.equal, results[0], others))


def test_an_item_does_not_depend_on_its_neighbours() -> None:
    cost = torch.rand(2 * LANES, 6, 6, generator=torch.Generator().manual_seed(0))
    together = value_and_gradient(cost, 0.05)
    for i in (0, 5, LANES, 2 * LANES - 1):
        for whole, alone in zip(together, value_and_gradient(cost[i : i + 1], 0.05), strict=True):
            assert torch.equal(whole[i : i + 1], alone)


def test_the_layout_in_memory_does_not_matter() -> None:
    cost = torch.rand(7, 5, 3, generator=torch.Generator().manual_seed(0)).permute(1, 2, 0)
    for actual, expected in zip(
        value_and_gradient(cost, 0.1), value_and_gradient(cost.contiguous(), 0.1), strict=True
    ):
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_nan_and_infinity_propagate_only_from_within_the_lengths(dtype: torch.dtype, wrong: float) -> None:
    cost = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=dtype)
    rows, columns = torch.tensor([5, 3, 5]), torch.tensor([6, 4, 6])
    clean = value_and_gradient(cost, 0.1, rows, columns)
    cost[1, 3:] = wrong
    cost[1, :, 4:] = wrong
    for with_padding, without in zip(value_and_gradient(cost, 0.1, rows, columns), clean, strict=True):
        assert torch.equal(with_padding, without)
    cost[1, 0, 0] = float("nan")
    value, gradient = value_and_gradient(cost, 0.1, rows, columns)
    assert value.isnan().tolist() == [False, True, False]
    assert gradient[1].isnan().any()
    assert gradient[[0, 2]].isfinite().all()


def test_nothing_flows_outside_band_and_lengths() -> None:
    cost = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([8, 6, 3, 1])
    _, gradient = value_and_gradient(cost, 1.0, lengths, lengths, 2)
    i, j = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    within = ((i - j).abs() <= 2) & (torch.maximum(i, j) < lengths[:, None, None])
    assert (gradient[~within] == 0).all()
    assert (gradient[within] > 0).all()


def test_half_precision_is_computed_in_float32() -> None:
    cost = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    value, gradient = value_and_gradient(cost, 0.1)
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    assert torch.equal(value, soft_dtw(cost.float(), 0.1))


def test_an_empty_batch_and_no_gradient() -> None:
    assert soft_dtw(torch.zeros(0, 4, 5), 0.1).shape == (0,)
    assert not soft_dtw(torch.zeros(2, 4, 5), 0.1).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_second_derivative_is_refused(dtype: torch.dtype) -> None:
    cost = torch.rand(1, 3, 3, dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(soft_dtw(cost, 0.1).square().sum(), cost, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_exponential_and_logarithm_are_exact_to_a_few_units_in_the_last_place() -> None:
    x = np.linspace(-60, 0, 3001, dtype=np.float32)
    powers = np.array([soft_dtw_compiled._exp2(each) for each in x])
    assert np.abs(powers / np.exp2(x.astype(np.float64)) - 1).max() < 3e-7
    x = np.linspace(1, 3, 1001, dtype=np.float32)
    logarithms = np.array([soft_dtw_compiled._log2(each) for each in x])
    assert np.abs(logarithms - np.log2(x.astype(np.float64))).max() < 3e-7


def test_compiles_without_a_writable_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def njit(*, cache: bool, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert soft_dtw_compiled._compiled(lambda x: x + 1)(2) == 3


@pytest.mark.slow
def test_numba_is_imported_only_when_called() -> None:
    code = (
        "import sys, torch; from recipes.pretrain.criterion.soft_dtw import soft_dtw; "
        "soft_dtw(torch.rand(1, 2, 2).double(), 0.1); assert 'numba' not in sys.modules; "
        "soft_dtw(torch.rand(1, 2, 2), 0.1); assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

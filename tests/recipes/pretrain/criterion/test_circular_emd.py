from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from motion_data.rhythm.accent_mass import circular_emd

masses = st.integers(2, 8).flatmap(
    lambda size: st.tuples(
        *(st.lists(st.floats(0, 1), min_size=size, max_size=size).filter(lambda mass: sum(mass) > 0.5),) * 2
    )
)
"""Two masses of equal size, in which bins may be 0."""


@given(masses)
def test_is_the_cheapest_transport_on_the_circle(pair: tuple[list[float], list[float]]) -> None:
    first, second = (np.array(mass) / sum(mass) for mass in pair)
    size = len(first)
    index = np.arange(size)
    difference = np.abs(index[:, None] - index)
    cost = np.minimum(difference, size - difference) / size
    rows = np.kron(np.eye(size), np.ones(size))
    columns = np.kron(np.ones(size), np.eye(size))
    plan = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([first, second]))
    distance = circular_emd(torch.tensor(first), torch.tensor(second)).item()
    assert abs(distance - plan.fun) < 1e-6


@given(masses, st.integers(0, 6), st.floats(0.1, 10))
def test_is_invariant_to_joint_rotation_and_scale(
    pair: tuple[list[float], list[float]], shift: int, scale: float
) -> None:
    first, second = (torch.tensor(mass, dtype=torch.float64) for mass in pair)
    distance = circular_emd(first, second)
    assert torch.allclose(distance, circular_emd(first.roll(shift), second.roll(shift)), atol=1e-9)
    assert torch.allclose(distance, circular_emd(first * scale, second), atol=1e-6)
    assert torch.allclose(distance, circular_emd(second, first), atol=1e-9)
    assert circular_emd(first, first).abs() < 1e-9


def test_accents_on_opposite_sides_are_half_a_bar_apart() -> None:
    first, second = torch.zeros(2, 8)
    first[1], second[5] = 1, 1
    assert torch.allclose(circular_emd(first, second), torch.tensor(0.5), atol=1e-5)
    assert torch.allclose(circular_emd(first, first.roll(-2)), torch.tensor(0.25), atol=1e-5)


def test_an_empty_bar_counts_as_uniform_and_has_a_gradient() -> None:
    empty = torch.zeros(8, requires_grad=True)
    circular_emd(empty, torch.eye(8)[0]).backward()
    assert empty.grad is not None
    assert torch.isfinite(empty.grad).all()

"""Rotations come back as the same rotation from matrices, at the hard angles too."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.kinematics import axis_angle_to_matrix, matrix_to_axis_angle
from tests.fabricated_smpl import turned_by_hand

HARD = (0.0, 1e-12, 1e-8, 1e-4, np.pi / 2, np.pi - 1e-8, np.pi, np.pi + 1e-8, 3.5, 2 * np.pi, 7.0, 1e3)
AXES = ((1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0), (0.6, 0, -0.8), (1 / 3, 2 / 3, -2 / 3))


def check(axis_angle: NDArray[np.float64]) -> None:
    matrix = axis_angle_to_matrix(axis_angle)
    by_hand = np.array([turned_by_hand(one) for one in axis_angle.reshape(-1, 3)])
    np.testing.assert_allclose(matrix, by_hand.reshape(*axis_angle.shape[:-1], 3, 3), atol=1e-12)
    back = matrix_to_axis_angle(matrix)
    assert back.shape == axis_angle.shape
    assert (np.linalg.norm(back, axis=-1) <= np.pi + 1e-12).all()
    np.testing.assert_allclose(axis_angle_to_matrix(back), matrix, atol=1e-7)


def test_the_hard_angles() -> None:
    check(np.multiply.outer(np.array(HARD), np.array(AXES)))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(), (1,), (4,), (2, 3), (0,), (3, 0, 2)]))
def test_random_rotations_of_any_shape(seed: int, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(seed)
    check(draw.normal(size=(*shape, 3)) * draw.choice([1e-9, 1e-3, 1, 2, 5], size=(*shape, 1)))

"""Rotations come back as the same rotation from every form, at the hard angles too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.rotations import (
    axis_angle_from_6d,
    axis_angle_to_6d,
    axis_angle_to_matrix,
    axis_angle_to_quaternion,
    matrix_from_6d,
    matrix_to_6d,
    matrix_to_axis_angle,
    quaternion_to_axis_angle,
)
from tests.fabricated_smpl import turned_by_hand

HARD = (0.0, 1e-12, 1e-8, 1e-4, np.pi / 2, np.pi - 1e-8, np.pi, np.pi + 1e-8, 3.5, 2 * np.pi, 7.0, 1e3)
AXES = ((1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0), (0.6, 0, -0.8), (1 / 3, 2 / 3, -2 / 3))


def hard_rotations() -> NDArray[np.float64]:
    """(angles, axes, 3)"""
    return np.multiply.outer(np.array(HARD), np.array(AXES))


def random_rotations(seed: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    sizes = draw.choice([1e-9, 1e-3, 1, 2, 5], size=(*shape, 1))
    rotations: NDArray[np.float64] = draw.normal(size=(*shape, 3)) * sizes
    return rotations


def matrices_by_hand(axis_angle: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = [turned_by_hand(one) for one in axis_angle.reshape(-1, 3)]
    return np.array(flat).reshape(*axis_angle.shape[:-1], 3, 3)


def check(axis_angle: NDArray[np.float64]) -> None:
    matrix = axis_angle_to_matrix(axis_angle)
    np.testing.assert_allclose(matrix, matrices_by_hand(axis_angle), atol=1e-12)
    quaternion = axis_angle_to_quaternion(axis_angle)
    assert (quaternion[..., 3] >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(quaternion, axis=-1), 1, atol=1e-12)
    ways = (
        matrix_to_axis_angle(matrix),
        quaternion_to_axis_angle(quaternion),
        quaternion_to_axis_angle(-3 * quaternion),
        axis_angle_from_6d(axis_angle_to_6d(axis_angle)),
    )
    for back in ways:
        assert back.shape == axis_angle.shape
        assert (np.linalg.norm(back, axis=-1) <= np.pi + 1e-12).all()
        np.testing.assert_allclose(axis_angle_to_matrix(back), matrix, atol=1e-7)


def test_the_hard_angles() -> None:
    check(hard_rotations())


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(), (1,), (4,), (2, 3), (0,), (3, 0, 2)]))
def test_random_rotations_of_any_shape(seed: int, shape: tuple[int, ...]) -> None:
    check(random_rotations(seed, shape))


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_small_rotations_keep_their_digits(seed: int) -> None:
    small = random_rotations(seed, (5,)) * 1e-6
    np.testing.assert_allclose(quaternion_to_axis_angle(axis_angle_to_quaternion(small)), small, rtol=1e-9)


def test_the_order_of_a_quaternion() -> None:
    quarter = axis_angle_to_quaternion(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter, [0, 0, np.sqrt(0.5), np.sqrt(0.5)])


class TestSixD:
    def test_it_is_the_first_two_columns(self) -> None:
        matrix = np.arange(9.0).reshape(3, 3)
        np.testing.assert_array_equal(matrix_to_6d(matrix), [0, 3, 6, 1, 4, 7])

    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_the_first_two_rows_are_those_of_the_inverse(self, seed: int) -> None:
        axis_angle = random_rotations(seed, (3,))
        rows = axis_angle_to_matrix(axis_angle)[:, :2].reshape(3, 6)
        np.testing.assert_allclose(rows, axis_angle_to_6d(-axis_angle), atol=1e-12)

    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_any_two_directions_become_a_rotation(self, seed: int) -> None:
        six = np.random.default_rng(seed).normal(size=(4, 2, 6))
        matrix = matrix_from_6d(six)
        np.testing.assert_allclose(
            matrix @ matrix.swapaxes(-1, -2), np.broadcast_to(np.eye(3), matrix.shape), atol=1e-9
        )
        np.testing.assert_allclose(np.linalg.det(matrix), 1)
        # The first direction is kept, and the second lies in the half plane that y shows.
        np.testing.assert_allclose(
            matrix[..., 0], six[..., :3] / np.linalg.norm(six[..., :3], axis=-1)[..., None]
        )
        np.testing.assert_allclose((matrix[..., 2] * six[..., 3:]).sum(-1), 0, atol=1e-9)
        assert ((matrix[..., 1] * six[..., 3:]).sum(-1) > 0).all()

    @settings(deadline=None)
    @given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(-3, 3))
    def test_lengths_and_skew_are_taken_out(self, seed: int, one: float, two: float, skew: float) -> None:
        matrix = axis_angle_to_matrix(random_rotations(seed, (6,)))
        x, y = matrix[..., 0], matrix[..., 1]
        six = np.concatenate([one * x, two * (y + skew * x)], axis=-1)
        np.testing.assert_allclose(matrix_from_6d(six), matrix, atol=1e-9)

    @pytest.mark.parametrize(
        "six", [[0.0] * 6, [1, 0, 0, 0, 0, 0], [1, 2, 3, -2, -4, -6], [np.nan, 0, 0, 0, 1, 0]]
    )
    def test_what_spans_no_plane_is_refused(self, six: list[float]) -> None:
        with pytest.raises(ValueError, match="no plane"):
            matrix_from_6d(np.array(six, dtype=np.float64))

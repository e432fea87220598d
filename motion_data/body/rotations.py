"""Rotations as axis-angle, quaternion, matrix and 6-D, over scipy; float64 in, float64 out.

The last axis (the last two of a matrix) holds the rotation, the others are kept:

=============  ============  =================================================================
axis-angle     ``(..., 3)``  axis times angle in radians; angles above π are read as they are,
                             and given in [0, π]
quaternion     ``(..., 4)``  (x, y, z, w), scalar last as scipy has it; of unit length, w at least 0
matrix         ``(..., 3, 3)``  acts on columns: ``rotated = matrix @ point``
6-D            ``(..., 6)``  the first two COLUMNS of the matrix, one after the other (Zhou et al.,
                             "On the Continuity of Rotation Representations in Neural Networks",
                             CVPR 2019). pytorch3d, and EDGE with it, takes the first two ROWS
                             instead: that is the 6-D of the inverse rotation.
=============  ============  =================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.floating[Any]]

PARALLEL = 1e-6
"""Sine between the two columns of a 6-D below which the plane they span is noise."""


def axis_angle_to_matrix(axis_angle: Floats) -> NDArray[np.float64]:
    """(..., 3) to (..., 3, 3)."""
    matrix: NDArray[np.float64] = _rotation(axis_angle, 3).as_matrix()
    return matrix.reshape(*np.shape(axis_angle)[:-1], 3, 3)


def matrix_to_axis_angle(matrix: Floats) -> NDArray[np.float64]:
    """(..., 3, 3) to (..., 3); a matrix that is not quite a rotation is taken to the nearest one.

    Raises:
        ValueError: a determinant that is not above 0.
    """
    rotation = Rotation.from_matrix(np.reshape(matrix, (-1, 3, 3)))
    return _flat(rotation.as_rotvec(), np.shape(matrix)[:-2])


def axis_angle_to_quaternion(axis_angle: Floats) -> NDArray[np.float64]:
    """(..., 3) to (..., 4)."""
    rotation = _rotation(axis_angle, 3)
    return _flat(rotation.as_quat(canonical=True), np.shape(axis_angle)[:-1])


def quaternion_to_axis_angle(quaternion: Floats) -> NDArray[np.float64]:
    """(..., 4) of any length above 0 to (..., 3).

    Raises:
        ValueError: a quaternion of length 0.
    """
    return _flat(_rotation(quaternion, 4).as_rotvec(), np.shape(quaternion)[:-1])


def matrix_to_6d(matrix: Floats) -> NDArray[np.float64]:
    """(..., 3, 3) to (..., 6)."""
    columns = np.swapaxes(np.asarray(matrix, dtype=np.float64)[..., :2], -1, -2)
    return columns.reshape(*columns.shape[:-2], 6)


def matrix_from_6d(six: Floats) -> NDArray[np.float64]:
    """(..., 6) of any two columns to (..., 3, 3), by Gram and Schmidt: the first gives the direction
    x, what the second has beside it gives y, and z is their cross product (Zhou et al., eq. 15).

    Raises:
        ValueError: a first column of length 0, or columns that are parallel.
    """
    six = np.asarray(six, dtype=np.float64)
    first, second = six[..., :3], six[..., 3:]
    x = first / _length(first)
    second = second / _length(second)
    y = second - (x * second).sum(-1, keepdims=True) * x
    y = y / _length(y, PARALLEL)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def axis_angle_to_6d(axis_angle: Floats) -> NDArray[np.float64]:
    """(..., 3) to (..., 6)."""
    return matrix_to_6d(axis_angle_to_matrix(axis_angle))


def axis_angle_from_6d(six: Floats) -> NDArray[np.float64]:
    """(..., 6) to (..., 3); raises as :func:`matrix_from_6d`."""
    return matrix_to_axis_angle(matrix_from_6d(six))


def _rotation(values: Floats, size: int) -> Rotation:
    flat = np.asarray(values, dtype=np.float64).reshape(-1, size)
    return Rotation.from_rotvec(flat) if size == 3 else Rotation.from_quat(flat)


def _flat(values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    return values.reshape(*shape, values.shape[-1])


def _length(vectors: NDArray[np.float64], least: float = 1e-12) -> NDArray[np.float64]:
    length: NDArray[np.float64] = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (length > least).all():
        raise ValueError("6-D rotation with a column of length 0, NaN, or parallel columns: spans no plane")
    return length

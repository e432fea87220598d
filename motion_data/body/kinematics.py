"""Forward kinematics: joint positions from rotations relative to the parents.

:data:`REST` is an approximate neutral body [O] that needs no SMPL file: a standing figure of about 1.7 m in
SMPL's rest pose (arms stretched to the sides, y up, facing +z, the origin at the chest), with the bone
lengths of an average adult, rounded to half centimetres and symmetric. Its joints differ by some centimetres
from those of the licensed model's mean shape; use :mod:`motion_data.body.smpl` if you have that file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from smplx.lbs import batch_rigid_transform

from motion_data.errors import DataError
from motion_data.skeleton import JOINTS, PARENTS

Floats = NDArray[np.floating[Any]]

_MIDDLE: Mapping[str, tuple[float, float, float]] = {
    "pelvis": (0.0, -0.225, 0.03),
    "spine1": (0.0, -0.115, 0.0),
    "spine2": (0.0, 0.02, 0.005),
    "spine3": (0.0, 0.075, 0.03),
    "neck": (0.0, 0.285, -0.015),
    "head": (0.0, 0.355, 0.035),
}
_LEFT: Mapping[str, tuple[float, float, float]] = {
    "hip": (0.07, -0.315, 0.02),
    "knee": (0.105, -0.695, 0.015),
    "ankle": (0.09, -1.09, -0.025),
    "foot": (0.115, -1.145, 0.095),
    "collar": (0.08, 0.195, -0.01),
    "shoulder": (0.175, 0.225, -0.015),
    "elbow": (0.43, 0.215, -0.04),
    "wrist": (0.685, 0.22, -0.045),
}


def _rest() -> NDArray[np.float64]:
    positions = dict(_MIDDLE)
    for name, (x, y, z) in _LEFT.items():
        positions |= {f"left_{name}": (x, y, z), f"right_{name}": (-x, y, z)}
    rest = np.array([positions[name] for name in JOINTS])
    rest.flags.writeable = False
    return rest


REST = _rest()
"""(22, 3) metres, in the order of :data:`~motion_data.skeleton.JOINTS` [O, approximate]."""


def axis_angle_to_matrix(axis_angle: Floats) -> NDArray[np.float64]:
    """Convert (..., 3), axis times angle in radians, to (..., 3, 3), applied as ``matrix @ point``."""
    flat = np.asarray(axis_angle, dtype=np.float64).reshape(-1, 3)
    matrix: NDArray[np.float64] = Rotation.from_rotvec(flat).as_matrix()
    return matrix.reshape(*np.shape(axis_angle)[:-1], 3, 3)


def matrix_to_axis_angle(matrix: Floats) -> NDArray[np.float64]:
    """Convert (..., 3, 3) to (..., 3) with angles in [0, π]; other matrices give the nearest rotation.

    Raises:
        ValueError: a determinant is not positive.
    """
    axis_angle: NDArray[np.float64] = Rotation.from_matrix(np.reshape(matrix, (-1, 3, 3))).as_rotvec()
    return axis_angle.reshape(*np.shape(matrix)[:-2], 3)


def forward_kinematics(
    rotations: Floats, root: Floats, rest: Floats = REST, parents: Sequence[int] = PARENTS
) -> NDArray[np.float64]:
    """Compute joint positions from a rest pose and the rotation of each joint relative to its parent.

    As in SMPL, the root joint rotates around its position in the rest pose, and ``root`` is added to all
    joints: without rotations they are at ``rest + root``.

    Args:
        rotations: (T, J, 3), T at least 1: axis times angle in radians; that of the root is global.
        root: (T, 3) metres.
        rest: (J, 3) metres.
        parents: parent of each joint, before its children; the first is -1.

    Returns:
        (T, J, 3) metres.

    Raises:
        DataError: the shapes do not fit each other.
    """
    rotations, root, rest = (np.asarray(part, dtype=np.float64) for part in (rotations, root, rest))
    if rotations.shape[1:] != (len(parents), 3) or not len(rotations) or rest.shape != (len(parents), 3):
        raise DataError(
            f"rotations of shape {rotations.shape} and rest joints of shape {rest.shape}; expected "
            f"(T, {len(parents)}, 3) with T at least 1, and ({len(parents)}, 3)"
        )
    if root.shape != (len(rotations), 3):
        raise DataError(f"root of shape {root.shape}; expected ({len(rotations)}, 3)")
    joints, _ = batch_rigid_transform(
        torch.from_numpy(axis_angle_to_matrix(rotations)),
        torch.tensor(rest).expand(len(rotations), -1, -1),
        torch.tensor(parents),
        dtype=torch.float64,
    )
    posed: NDArray[np.float64] = joints.numpy() + root[:, None]
    return posed

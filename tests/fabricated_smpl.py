"""A body model in the format of SMPL, of random numbers: nothing of the licensed model is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""SMPL's 24 joints; written here once more, so that a fault in the package's own tree is seen."""


def fabricated_smpl(seed: int = 0, vertices: int = 60, shapes: int = 10) -> dict[str, NDArray[Any]]:
    """Every array of an SMPL file, with ``vertices`` for 6,890 vertices."""
    draw = np.random.default_rng(seed)
    joints = len(SMPL_PARENTS)
    return {
        "v_template": draw.normal(0, 0.5, (vertices, 3)),
        "shapedirs": draw.normal(0, 0.02, (vertices, 3, shapes)),
        "posedirs": draw.normal(0, 0.01, (vertices, 3, 9 * (joints - 1))),
        "J_regressor": draw.dirichlet(np.full(vertices, 0.2), joints),
        "weights": draw.dirichlet(np.full(joints, 0.2), vertices),
        # The root's parent is 2**32 - 1 in the published files.
        "kintree_table": np.array([[2**32 - 1, *SMPL_PARENTS[1:]], range(joints)], dtype=np.uint32),
        "f": draw.integers(0, vertices, (2 * vertices, 3)).astype(np.uint32),
    }


def write_npz(path: Path, seed: int = 0) -> Path:
    """The fabricated model as .npz."""
    arrays = fabricated_smpl(seed)
    np.savez(path, **arrays)
    return path


def turned_by_hand(axis_angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) to (3, 3): Rodrigues' formula, written out."""
    angle = float(np.sqrt((axis_angle**2).sum()))
    if angle == 0:
        return np.eye(3)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return matrix


def posed_by_hand(
    rest: NDArray[np.float64],
    poses: NDArray[np.float64],
    translation: NDArray[np.float64],
    parents: tuple[int, ...],
) -> NDArray[np.float64]:
    """Forward kinematics joint by joint and frame by frame: (T, J, 3) from poses (T, J, 3)."""
    posed = np.zeros_like(poses)
    for frame in range(len(poses)):
        facing: list[NDArray[np.float64]] = []
        for joint, parent in enumerate(parents):
            turn = turned_by_hand(poses[frame, joint])
            if parent < 0:
                facing.append(turn)
                posed[frame, joint] = rest[joint] + translation[frame]
            else:
                facing.append(facing[parent] @ turn)
                bone = rest[joint] - rest[parent]
                posed[frame, joint] = posed[frame, parent] + facing[parent] @ bone
    return posed

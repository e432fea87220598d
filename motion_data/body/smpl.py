"""Joints of an SMPL body from the user's licensed model file.

The licence does not allow to distribute the model: https://smpl.is.tue.mpg.de (SMPL),
https://mano.is.tue.mpg.de (SMPL+H), https://smpl-x.is.tue.mpg.de (SMPL-X). The first 22 joints of the three
are the same. Only the joints of the mean shape are computed, without vertices and blend shapes, so a second
of motion takes milliseconds.

The official pickles contain arrays in objects of chumpy, which current Python versions cannot import, and the
regressor as a sparse matrix. Placeholders keep the state of these objects; nothing except numpy's arrays is
imported or called. Tested on files of the same structure, because the licensed files were not available.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.kinematics import forward_kinematics
from motion_data.errors import DataError
from motion_data.files import read_bytes, read_npz
from motion_data.safe_pickle import ArrayUnpickler, to_float_array
from motion_data.skeleton import JOINTS, PARENTS

Floats = NDArray[np.floating[Any]]

REQUIRED_ARRAYS = ("v_template", "J_regressor", "kintree_table")


def smpl_joints(rest: Floats, poses: Floats, translation: Floats) -> NDArray[np.float64]:
    """Compute the 22 common joints of a posed body; the two hands of SMPL are dropped.

    Args:
        rest: (J, 3) from :func:`read_rest_joints`.
        poses: (T, 72) as in SMPL, or (T, K, 3) with K at least 22: axis times angle of each joint relative to
            its parent in radians.
        translation: (T, 3) metres.

    Returns:
        (T, 22, 3) metres.

    Raises:
        DataError: the shapes do not fit each other.
    """
    return forward_kinematics(body_rotations(poses), translation, rest[: len(JOINTS)])


def body_rotations(poses: Floats) -> NDArray[np.float64]:
    """Convert poses of SMPL, (T, 72) or (T, K, 3), to (T, 22, 3) without hands.

    Raises:
        DataError: the shape is different.
    """
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim == 2 and poses.shape[1] % 3 == 0:
        poses = poses.reshape(len(poses), poses.shape[1] // 3, 3)
    if poses.ndim != 3 or poses.shape[2] != 3 or poses.shape[1] < len(JOINTS):
        raise DataError(f"poses of shape {poses.shape}; expected (T, 72) or (T, 24, 3)")
    return poses[:, : len(JOINTS)]


def read_rest_joints(path: str | Path) -> NDArray[np.float64]:
    """Read the joints of the mean shape at rest: (J, 3) metres, y up, J at least 22.

    Args:
        path: the .npz or .pkl file of SMPL, SMPL+H or SMPL-X.

    Raises:
        DataError: the file is missing, a pickle contains code, or the arrays are not a body model.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the .npz or .pkl of an SMPL model")
    arrays = read_npz(path, REQUIRED_ARRAYS) if path.suffix == ".npz" else read_smpl_pickle(path)
    missing = [key for key in REQUIRED_ARRAYS if key not in arrays]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; expected the .npz or .pkl of an SMPL model")
    template, regressor, table = (to_float_array(arrays[key], f"{path}: {key}") for key in REQUIRED_ARRAYS)
    if table.ndim != 2 or not len(table) or not np.isfinite(table).all():
        raise DataError(f"{path}: kintree_table has shape {table.shape}; expected (2, J) of joint numbers")
    parents = table[0].astype(np.int64)
    vertices = len(template) if template.ndim else 0
    shapes_match = template.shape == (vertices, 3) and regressor.shape == (len(parents), vertices)
    if not (shapes_match and np.isfinite(template).all() and np.isfinite(regressor).all()):
        raise DataError(
            f"{path}: v_template {template.shape} and J_regressor {regressor.shape} for {len(parents)} "
            f"joints do not fit each other, or hold NaN"
        )
    if tuple(parents[1 : len(PARENTS)]) != PARENTS[1:]:
        raise DataError(
            f"{path}: the parents of its joints are not those of SMPL's first 22 (parents "
            f"{', '.join(map(str, parents[: len(PARENTS)]))}); expected SMPL, SMPL+H or SMPL-X"
        )
    rest: NDArray[np.float64] = regressor @ template
    return rest


REPLACED_PACKAGES = ("chumpy", "scipy.sparse")
"""Packages whose objects are replaced with placeholders."""

MAX_MATRIX_SIZE = 10_000_000
"""Maximum size of a sparse matrix that is converted to a dense one; SMPL-X's regressor has 55 times
10,475."""


class Placeholder:
    """Replaces an object: keeps its pickled state, and in a subclass the name of its class."""

    kind = ""
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        """Ignore the arguments of the object."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_smpl_pickle(path: Path) -> dict[str, Any]:
    """Read the arrays of an SMPL pickle, including those of chumpy and sparse ones; other values are dropped.

    Raises:
        DataError: the file is missing or truncated, not a dictionary, or refers to other classes.
    """
    model = _SmplUnpickler(read_bytes(path), str(path)).load()
    if not isinstance(model, dict):
        raise DataError(f"{path}: a pickle of {type(model).__name__}; expected an SMPL model's dictionary")
    arrays = {key: _to_array(value, f"{path}: {key}") for key, value in model.items()}
    return {key: value for key, value in arrays.items() if value is not None}


class _SmplUnpickler(ArrayUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if any(module == package or module.startswith(package + ".") for package in REPLACED_PACKAGES):
            return type("StandIn", (Placeholder,), {"kind": name})
        # Python 2 and Python 3 name the same modules differently.
        if module in ("copy_reg", "copyreg") and name == "_reconstructor":
            return _reconstruct
        if module in ("__builtin__", "builtins") and name in ("object", "set"):
            return {"object": object, "set": set}[name]
        return super().find_class(module, name)


def _reconstruct(kind: Any, base: Any, state: Any) -> Placeholder:
    """Replaces ``copyreg._reconstructor`` of old pickles."""
    if not (isinstance(kind, type) and issubclass(kind, Placeholder)):
        raise TypeError(f"it creates a {kind!r}; expected only objects of chumpy and scipy")
    return kind()


def _to_array(value: Any, location: str) -> Any:
    """Return the value itself, the array of a placeholder, or None if a placeholder has none."""
    if not isinstance(value, Placeholder):
        return value
    state = value.state if isinstance(value.state, dict) else {}
    if value.kind in ("csc_matrix", "csc_array"):
        return _to_dense(state, location)
    return state["x"] if isinstance(state.get("x"), np.ndarray) else None


def _to_dense(state: dict[str, Any], location: str) -> NDArray[np.float64]:
    """Convert a scipy matrix in CSC format: column j contains ``data[indptr[j]:indptr[j + 1]]``."""
    try:
        rows, columns = (int(size) for size in state["_shape"])
        if rows * columns > MAX_MATRIX_SIZE:
            raise ValueError(f"{rows} times {columns} numbers are more than a body model has")
        indptr, indices = np.asarray(state["indptr"]), np.asarray(state["indices"])
        matrix = np.zeros((rows, columns))
        column = np.repeat(np.arange(columns), np.diff(indptr))
        np.add.at(matrix, (indices, column), np.asarray(state["data"]))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{location}: not a sparse matrix ({error}); fetch the file again") from error
    return matrix

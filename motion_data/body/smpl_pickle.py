"""The official SMPL pickle, read without chumpy, scipy or any code that it names.

Those files hold arrays in objects of chumpy, which no present Python can import, and the joint
regressor as a sparse matrix. Here a stand-in takes the place of every such object and keeps its
state; nothing that the pickle names is imported or called but numpy's arrays. Tried on files made
after their pattern: the licensed ones cannot be had here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.safe_pickle import ArrayUnpickler

STANDS_IN_FOR = ("chumpy", "scipy.sparse")
"""Packages whose objects are replaced."""

LARGEST_MATRIX = 10_000_000
"""Numbers in the largest sparse matrix that is made dense; SMPL-X's regressor has 55 times 10,475."""


class StandIn:
    """What is left of an object: the state it was pickled with, and in a subclass its class's name."""

    kind = ""
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        """Whatever the object was made of is dropped."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_smpl_pickle(path: Path) -> dict[str, Any]:
    """The arrays of an SMPL pickle, chumpy's and sparse ones as numpy's; what cannot be read as one is
    left away.

    Raises:
        DataError: no such file, truncated, no dictionary, or a pickle that names anything else.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    model = _SmplUnpickler(data, str(path)).load()
    if not isinstance(model, dict):
        raise DataError(f"{path}: a pickle of {type(model).__name__}; expected an SMPL model's dictionary")
    arrays = {key: _array(value, f"{path}: {key}") for key, value in model.items()}
    return {key: value for key, value in arrays.items() if value is not None}


class _SmplUnpickler(ArrayUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if any(module == package or module.startswith(package + ".") for package in STANDS_IN_FOR):
            return type("StandIn", (StandIn,), {"kind": name})
        # Python 2 and Python 3 name the same modules differently.
        if module in ("copy_reg", "copyreg") and name == "_reconstructor":
            return _stand_in
        if module in ("__builtin__", "builtins") and name in ("object", "set"):
            return {"object": object, "set": set}[name]
        return super().find_class(module, name)


def _stand_in(kind: Any, base: Any, state: Any) -> StandIn:
    """What an old pickle makes an object with."""
    if not (isinstance(kind, type) and issubclass(kind, StandIn)):
        raise TypeError(f"it makes a {kind!r}; expected objects of chumpy and scipy alone")
    return kind()


def _array(value: Any, place: str) -> Any:
    """The value itself, the array of a stand-in, or None where a stand-in has none."""
    if not isinstance(value, StandIn):
        return value
    state = value.state if isinstance(value.state, dict) else {}
    if value.kind in ("csc_matrix", "csc_array"):
        return _dense(state, place)
    return state["x"] if isinstance(state.get("x"), np.ndarray) else None


def _dense(state: dict[str, Any], place: str) -> NDArray[np.float64]:
    """A matrix in compressed columns, as scipy has it: column j holds ``data[indptr[j]:indptr[j + 1]]``."""
    try:
        rows, columns = (int(size) for size in state["_shape"])
        if rows * columns > LARGEST_MATRIX:
            raise ValueError(f"{rows} times {columns} numbers are more than a body model has")
        indptr, indices = np.asarray(state["indptr"]), np.asarray(state["indices"])
        matrix = np.zeros((rows, columns))
        column = np.repeat(np.arange(columns), np.diff(indptr))
        np.add.at(matrix, (indices, column), np.asarray(state["data"]))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{place}: not a sparse matrix ({error}); fetch the file again") from error
    return matrix

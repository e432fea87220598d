"""Safe reading of untrusted pickles: an unpickler that accepts numpy arrays in plain containers only."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.files import read_bytes


def load_arrays(path: str | Path) -> Any:
    """Read a pickle of numpy arrays in plain containers; nothing else in it is executed.

    Raises:
        DataError: the file is missing, truncated, or refers to anything other than arrays.
    """
    path = Path(path)
    return load_arrays_from_bytes(read_bytes(path), str(path))


def load_arrays_from_bytes(data: bytes, location: str) -> Any:
    """Read a pickle in memory, called ``location`` in messages; raises as :func:`load_arrays`."""
    return ArrayUnpickler(data, location).load()


def to_float_array(value: Any, location: str) -> NDArray[np.float64]:
    """Convert a value of a pickle to an array of floats; ``location`` names it in messages.

    Raises:
        DataError: it is not an array of numbers.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, SystemError) as error:  # SystemError from damaged texts
        reason = " ".join(str(error).split())
        raise DataError(f"{location}: not an array of numbers ({reason}); expected one") from error


class _Array(np.ndarray):  # type: ignore[type-arg]
    """An array whose pickled state is checked first, because numpy crashes on damaged states."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        array = _build_array(data, dtype, shape)
        items = array.ravel().tolist() if array.dtype.hasobject else array.tobytes()
        super().__setstate__((1, array.shape, array.dtype, bool(fortran), items))


class _Dtype:
    """The dtype of a pickled array: plain numbers, texts or objects."""

    def __init__(self, name: str, *_: Any) -> None:
        if not re.fullmatch("[biufcSU][0-9]{1,9}|O8?", name):
            raise ValueError(f"an array of {name!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _ArrayType:
    """Replaces numpy.ndarray, which pickles refer to without calling it."""


def _reconstruct(*_: Any) -> NDArray[Any]:
    return np.empty(0).view(_Array)


def _build_array(data: Any, dtype: Any, shape: Any) -> NDArray[Any]:
    """Build an array from the items in a pickle: bytes or a list of objects."""
    if not isinstance(dtype, _Dtype):
        raise TypeError("an array without a type")
    if dtype.dtype.hasobject:
        items = np.empty(len(data), dtype=object)
        items[:] = list(data)
    else:
        raw = data.encode("latin1") if isinstance(data, str) else data
        items = np.frombuffer(raw, dtype.dtype).astype(dtype.dtype.newbyteorder("="))
    return items.reshape(shape)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: str = "C") -> NDArray[Any]:
    return (
        _build_array(data, dtype, shape[::-1]).T.copy()
        if order == "F"
        else _build_array(data, dtype, shape).copy()
    )


def _scalar(dtype: Any, data: Any) -> Any:
    return _build_array(data, dtype, (1,))[0]


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


ALLOWED_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
"""Globals that pickles of arrays refer to, and their replacements: numpy's own functions crash on damaged
pickles. ``_codecs.encode`` and ``bytes`` are used for bytes by protocols below 3."""


class ArrayUnpickler(pickle._Unpickler):
    """Unpickles arrays in plain containers; any other global raises a DataError.

    Based on the implementation in Python: the one in C allocates all memory for a damaged index.
    """

    def __init__(self, data: bytes, location: str) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._location = location

    def load(self) -> Any:
        """Unpickle.

        Raises:
            DataError: the pickle is truncated or damaged, or refers to anything that is not allowed.
        """
        try:
            return super().load()
        except DataError:
            raise
        except Exception as error:  # a damaged pickle raises errors of many kinds
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise DataError(f"{self._location}: not a whole pickle ({reason}); fetch it again") from error

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of an allowed global."""
        # Protocol 4 allows dotted names, so the pair must match exactly.
        if (module, name) not in ALLOWED_GLOBALS:
            requested = " ".join(f"{module}.{name}".split())[:100]
            raise DataError(
                f"{self._location}: the pickle asks for {requested}; only numpy arrays are read from "
                f"pickles, and nothing in this one was run. Do not use it unless you know who made it"
            )
        return ALLOWED_GLOBALS[module, name]

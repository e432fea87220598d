"""Pickles of arrays, from places that nobody has checked: an unpickler that knows numpy and nothing else."""

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
    """Read a pickle of numpy arrays in plain containers; nothing else in it is ever run.

    Raises:
        DataError: no such file, truncated, or a pickle that names anything beyond arrays.
    """
    path = Path(path)
    return load_arrays_from_bytes(read_bytes(path), str(path))


def load_arrays_from_bytes(data: bytes, location: str) -> Any:
    """The same from a pickle in memory, called ``place`` in messages; raises as :func:`load_arrays`."""
    return ArrayUnpickler(data, location).load()


def to_float_array(value: Any, location: str) -> NDArray[np.float64]:
    """What a pickle holds as an array of numbers, called ``place`` in messages.

    Raises:
        DataError: it is none.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, SystemError) as error:  # the last of texts that are none
        fault = " ".join(str(error).split())
        raise DataError(f"{location}: not an array of numbers ({fault}); expected one") from error


class _Array(np.ndarray):  # type: ignore[type-arg]
    """An array whose pickled state is checked before numpy sees it: numpy crashes on a damaged one."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        whole = _build_array(data, dtype, shape)
        super().__setstate__((1, whole.shape, whole.dtype, bool(fortran), _items(whole)))


def _items(array: NDArray[Any]) -> Any:
    return array.ravel().tolist() if array.dtype.hasobject else array.tobytes()


class _Dtype:
    """The type of a pickled array: plain numbers, texts or objects."""

    def __init__(self, name: str, *_: Any) -> None:
        if not re.fullmatch("[biufcSU][0-9]{1,9}|O8?", name):
            raise ValueError(f"an array of {name!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _ArrayType:
    """numpy.ndarray, which a pickle only names."""


def _reconstruct(*_: Any) -> NDArray[Any]:
    return np.empty(0).view(_Array)


def _build_array(data: Any, dtype: Any, shape: Any) -> NDArray[Any]:
    """The array of a pickle's items, bytes or a list of objects."""
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
"""What an array's pickle names, and what is called instead: numpy's own functions crash on damaged pickles.
Bytes come through ``_codecs.encode`` and ``bytes`` in protocols below 3."""


class ArrayUnpickler(pickle._Unpickler):
    """Unpickles arrays in plain containers; anything else that a pickle names is a DataError.

    Python's own implementation: the one in C takes all the memory there is for a damaged index.
    """

    def __init__(self, data: bytes, location: str) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._location = location

    def load(self) -> Any:
        """What the pickle holds.

        Raises:
            DataError: truncated, damaged, or naming anything beyond what is allowed.
        """
        try:
            return super().load()
        except DataError:
            raise
        except Exception as error:  # a damaged pickle raises errors of many kinds
            fault = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise DataError(f"{self._location}: not a whole pickle ({fault}); fetch it again") from error

    def find_class(self, module: str, name: str) -> Any:
        """Only what is allowed."""
        # Protocol 4 allows dotted names, which would reach through an allowed one.
        if (module, name) not in ALLOWED_GLOBALS:
            asked = " ".join(f"{module}.{name}".split())[:100]
            raise DataError(
                f"{self._location}: the pickle asks for {asked}; only numpy arrays are read from "
                f"pickles, and nothing in this one was run. Do not use it unless you know who made it"
            )
        return ALLOWED_GLOBALS[module, name]

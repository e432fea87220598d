"""Pickles of arrays, from places that nobody has checked: an unpickler that knows numpy and nothing else."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from motion_data.errors import DataError

ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
"""What an array's pickle names; Python 2's byte strings come through ``_codecs.encode``."""


def load_arrays(path: str | Path) -> Any:
    """Read a pickle of numpy arrays in plain containers; nothing else in it is ever run.

    Raises:
        DataError: no such file, truncated, or a pickle that names anything beyond arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return arrays_from_bytes(path.read_bytes(), str(path))


def arrays_from_bytes(data: bytes, place: str) -> Any:
    """The same from a pickle in memory, called ``place`` in messages; raises as :func:`load_arrays`."""
    return ArrayUnpickler(io.BytesIO(data), place).load()


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays in plain containers; anything else that a pickle names is a DataError."""

    def __init__(self, file: io.BytesIO, place: str) -> None:
        super().__init__(file, encoding="latin1")
        self._place = place

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
            raise DataError(
                f"{self._place}: not a whole pickle ({type(error).__name__}: {error}); fetch it again"
            ) from error

    def find_class(self, module: str, name: str) -> Any:
        """Only what is allowed."""
        # Protocol 4 allows dotted names, which would reach through an allowed one.
        if (module, name) not in ALLOWED:
            raise DataError(
                f"{self._place}: the pickle asks for {module}.{name}; only numpy arrays are read from "
                f"pickles, and nothing in this one was run. Do not use it unless you know who made it"
            )
        return super().find_class(module, name)

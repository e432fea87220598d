"""An .npz of plain arrays, from a place that nobody has checked."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError


def read_npz(path: str | Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz; nothing pickled is loaded.

    Args:
        path: the file.
        names: of the arrays to read, where it has them; None reads all.

    Raises:
        DataError: damaged, no .npz, or arrays of objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file if names is None or name in names}
    except Exception as error:  # a damaged archive raises errors of many kinds
        fault = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path}: not a whole .npz of arrays ({fault}); fetch or export it again") from error

"""Labels of a sound as a file of their own, for tasks that read sounds without motions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from motion_data.errors import DataError
from motion_data.files import read_npz
from motion_data.labels import Labels
from motionbeat_upstream.atomic_write import atomic_path


def write_labels(path: str | Path, labels: Labels) -> None:
    """Write labels as .npz, an array a kind, whole or not at all."""
    with atomic_path(path) as draft:
        np.savez(draft, **labels.events)


def read_labels(path: str | Path) -> Labels:
    """Read what :func:`write_labels` wrote; nothing pickled is loaded.

    Raises:
        DataError: no such file, or not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; export the corpus again")
    try:
        return Labels(read_npz(path))
    except ValueError as error:
        raise DataError(f"{path}: not labels of this project ({error}); export the corpus again") from error

"""Train, dev and test for corpora that come without splits of their own: by piece."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.pair import SPLITS


def hashed_split(piece: str) -> str:
    """train, dev or test, 80/10/10, always the same for a piece."""
    share = int.from_bytes(hashlib.sha256(os.fsencode(piece)).digest()[:8]) / 2**64
    return SPLITS[0] if share < 0.8 else SPLITS[1] if share < 0.9 else SPLITS[2]


def read_splits(path: Path) -> dict[str, str]:
    """Split by piece from a CSV with the columns piece and split.

    Raises:
        DataError: no such file, other columns, a split that is none, or a piece in two.
    """
    splits: dict[str, str] = {}
    for row in read_csv(path, ("piece", "split")):
        piece, split = row.cells["piece"], row.cells["split"]
        if not piece or split not in SPLITS or splits.get(piece, split) != split:
            raise DataError(
                f"{row.place}: piece {piece!r} in split {split!r}; expected one of "
                f"{', '.join(SPLITS)}, the same for all of a piece"
            )
        splits[piece] = split
    return splits

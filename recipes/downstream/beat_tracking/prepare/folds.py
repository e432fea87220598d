"""Folds for a folder of recordings that has none: GTZAN with GTZAN-Rhythm, Ballroom, one's own.

    python -m recipes.downstream.beat_tracking.prepare.folds FOLDER --folds 8

FOLDER holds audio, each with a ``.beats`` file of its stem beside it or in a folder ``beats`` beside its own.
``FOLDER/splits.csv`` is written, by which each recording is tested once. Folds are dealt by a hash of the
file's name; they are ours, and no published split.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from motion_data.errors import DataError
from motionbeat_upstream.commands.command import command


def write_folds(folder: Path, folds: int, target: Path | None = None) -> Path:
    """Write ``splits.csv``, or ``target``; returns the file.

    ``folds`` is at least 3: one to test on, one to choose by, the rest to train on.

    Raises:
        DataError: no recordings, or fewer than folds, annotations that are missing or wrong, a file that is
            there already.
        AudioError: audio that cannot be read.
    """
    from recipes.downstream.beat_tracking.dataset import listed_in, load_recordings, write_splits

    target = target or folder / "splits.csv"
    if folds < 3:
        raise DataError(f"--folds {folds}: expected at least 3 (train, dev, test)")
    if target.exists():
        raise DataError(f"{target}: is there already; remove it to deal anew")
    rows = listed_in(folder)
    if len(rows) < folds:
        raise DataError(f"{folder}: {len(rows)} recordings cannot make {folds} folds")
    load_recordings(folder)  # all that is wrong with them is told now
    dealt = sorted(rows, key=lambda row: hashlib.sha256(os.fsencode(row.audio.stem)).digest())
    write_splits(
        target, [(row.audio, row.beats, {"fold": number % folds}) for number, row in enumerate(dealt)]
    )
    return target


@command("folds")
def main(arguments: Sequence[str]) -> int:
    """Write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--folds", type=int, default=8, metavar="K", help="at least 3 (%(default)s)")
    options = parser.parse_args(arguments)
    target = write_folds(options.folder, options.folds)
    print(f"{target}: {options.folds} folds")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes folds for a folder of recordings, such as GTZAN with GTZAN-Rhythm or Ballroom.

    python -m recipes.downstream.beat_tracking.prepare.folds FOLDER --folds 8

FOLDER contains audio files, each with a ``.beats`` file of the same stem beside it or in a folder ``beats``
beside its own folder. The command writes ``FOLDER/splits.csv``. Folds are assigned by a hash of the file name
[O]; they are not a published split.
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
    """Write ``splits.csv`` or ``target``; returns its path.

    Args:
        folder: folder of the recordings.
        folds: number of folds, at least 3 (test, dev and train).
        target: path of the file; None for ``splits.csv`` in the folder.

    Raises:
        DataError: fewer recordings than folds, missing or invalid annotations, or an existing file.
        AudioError: audio that cannot be read.
    """
    from recipes.downstream.beat_tracking.dataset import list_rows, load_recordings, write_splits

    target = target or folder / "splits.csv"
    if folds < 3:
        raise DataError(f"--folds {folds}: expected at least 3 (train, dev, test)")
    if target.exists():
        raise DataError(f"{target}: exists already; remove it to write new folds")
    rows = list_rows(folder)
    if len(rows) < folds:
        raise DataError(f"{folder}: {len(rows)} recordings; expected at least {folds} for as many folds")
    load_recordings(folder)  # reports their errors
    rows = sorted(rows, key=lambda row: hashlib.sha256(os.fsencode(row.audio.stem)).digest())
    write_splits(
        target, [(row.audio, row.beats, {"fold": number % folds}) for number, row in enumerate(rows)]
    )
    return target


@command("folds")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
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

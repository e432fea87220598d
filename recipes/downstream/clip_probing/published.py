"""Helpers of the readers of published data sets: required files, tables, audio files, folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.csv_file import Row
from motion_data.errors import DataError
from motion_data.pair import SPLITS
from motionbeat_upstream.atomic_write import is_hidden
from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.decoding import AUDIO_SUFFIXES
from recipes.downstream.clip_probing.clips import Clip


def require_path(root: Path, relative: str, source: str) -> Path:
    """The path of a file or folder of a data set.

    Args:
        root: folder of the data set.
        relative: path in the folder.
        source: name and source of the data set, for the error message.

    Raises:
        DataError: there is no such path. The message names the right root if it is one level up or down.
    """
    if (root / relative).exists():
        return root / relative
    others = [root.parent, *sorted(path for path in root.glob("*") if path.is_dir())] if root.is_dir() else []
    for other in others:
        if (other / relative).exists():
            raise DataError(f"{root}: contains no {relative}, but {other} does; give that as the root")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; get {source}")
    raise DataError(f"{root}: contains no {relative}; get {source}")


def numbers(row: Row, columns: Iterable[str]) -> NDArray[np.float32]:
    """(K,) numbers of a row.

    Raises:
        DataError: a cell is not a number, or exceeds the range of float32.
    """
    values = []
    for column in columns:
        try:
            value = float(row.cells[column])
        except ValueError:
            value = float("nan")
        if not abs(value) <= np.finfo(np.float32).max:
            raise DataError(f"{row.location}: {column} is {row.cells[column]!r}; expected a number")
        values.append(value)
    return np.array(values, dtype=np.float32)


def audio_by_stem(folder: Path) -> dict[str, Path]:
    """The audio files of a folder by stem."""
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in AUDIO_SUFFIXES and not is_hidden(path)
    }


def file_clip(name: str, group: str, label: NDArray[np.float32] | float, file: Path) -> Clip:
    """A clip that consists of a whole audio file."""
    return Clip(name, group, np.asarray(label, dtype=np.float32), partial(read_audio, file), file)


def fold_splits(clips: Sequence[Clip], folds: Sequence[int], fold: int) -> dict[str, list[Clip]]:
    """Splits of a data set with folds: one is test, the next dev, the rest train.

    Args:
        clips: all clips.
        folds: fold of each clip, from 0; -1 for clips that are always in train.
        fold: the test fold.
    """
    splits: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    count = max(folds) + 1
    for clip, number in zip(clips, folds, strict=True):
        split = "test" if number == fold else "dev" if number == (fold + 1) % count else "train"
        splits[split].append(clip)
    return splits


def group_folds(groups: Sequence[str], count: int) -> list[int]:
    """Folds of similar size that keep groups together; they do not depend on the order of the items.

    Each group, from the largest on, goes to the fold with the fewest items.
    """
    names, sizes = np.unique(np.asarray(groups), return_counts=True)
    fold_sizes = np.zeros(count, dtype=int)
    fold_of: dict[str, int] = {}
    for index in sorted(range(len(names)), key=lambda index: (-sizes[index], names[index])):
        fold = int(fold_sizes.argmin())
        fold_of[str(names[index])] = fold
        fold_sizes[fold] += sizes[index]
    return [fold_of[group] for group in groups]

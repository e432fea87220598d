"""What readers of published data sets share: files that must be there, tables, audio by its stem."""

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


def expect(root: Path, relative: str, obtained: str) -> Path:
    """A file or folder of a data set.

    Args:
        root: the data set's folder, as the user gives it.
        relative: the place in it.
        obtained: where the data set is obtained, for the message.

    Raises:
        DataError: it is not there; with the right root, where that is a level up or down.
    """
    if (root / relative).exists():
        return root / relative
    near = [root.parent, *sorted(path for path in root.glob("*") if path.is_dir())] if root.is_dir() else []
    for other in near:
        if (other / relative).exists():
            raise DataError(f"{root}: holds no {relative}, but {other} does; give that as the root")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; get {obtained}")
    raise DataError(f"{root}: holds no {relative}; get {obtained}")


def numbers(row: Row, columns: Iterable[str]) -> NDArray[np.float32]:
    """(K,) numbers of a row.

    Raises:
        DataError: one is none, or too large for float32.
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
    """The audio files of a folder by their names without the ending."""
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in AUDIO_SUFFIXES and not is_hidden(path)
    }


def clip(name: str, group: str, label: NDArray[np.float32] | float, file: Path) -> Clip:
    """A clip that is a whole audio file."""
    return Clip(name, group, np.asarray(label, dtype=np.float32), partial(read_audio, file), file)


def fold_splits(clips: Sequence[Clip], folds: Sequence[int], fold: int) -> dict[str, list[Clip]]:
    """The splits of a data set in folds: one to test on, the next to choose by, the rest to train on.

    Args:
        clips: all.
        folds: number of each one's fold, from 0; -1 for what is trained on in every fold.
        fold: to test on.
    """
    of: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    count = max(folds) + 1
    for one, number in zip(clips, folds, strict=True):
        of["test" if number == fold else "dev" if number == (fold + 1) % count else "train"].append(one)
    return of


def group_folds(groups: Sequence[str], count: int) -> list[int]:
    """A fold for each item: all of a group in one, the folds of like size, the same whatever the order.

    The largest groups are dealt out first, each to the fold that has least.
    """
    names, sizes = np.unique(np.asarray(groups), return_counts=True)
    filled = np.zeros(count, dtype=int)
    fold_of: dict[str, int] = {}
    for index in sorted(range(len(names)), key=lambda index: (-sizes[index], names[index])):
        fold = int(filled.argmin())
        fold_of[str(names[index])] = fold
        filled[fold] += sizes[index]
    return [fold_of[group] for group in groups]

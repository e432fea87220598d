"""The recordings of a data set and their splits.

A data set is a CSV file or a folder with ``splits.csv``. Its columns are ``audio`` and ``beats`` (paths
relative to the CSV file) and optionally ``piece``, ``split`` (train, dev, test) and ``fold``. A plain folder
of audio files is also a data set; each has a ``.beats`` file of the same stem beside it or in a folder
``beats`` beside its own folder. Recordings of one piece are always in one split.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from motion_data.beats_file import Beats, read_beats
from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.pair import SPLITS
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.decoding import AUDIO_SUFFIXES, audio_length
from motionbeat_upstream.errors import AudioError
from motionbeat_upstream.file_name import safe_file_name

if TYPE_CHECKING:
    from torch import Tensor

MAX_OVERRUN_SECONDS = 0.1
"""The last beat may be this far beyond the end of the audio, because annotations are rounded."""

SPLIT_NAMES = {"valid": "dev", "val": "dev", "validation": "dev"} | {split: split for split in SPLITS}
"""Splits by their names in data sets."""

DATA_SOURCES = (
    "GTZAN-Rhythm or Ballroom (audio from their authors, .beats from their annotation repositories), or the "
    "eight songs of `python -m recipes.downstream.beat_tracking.prepare.debian_songs OUT`"
)
"""Sources of data, for error messages."""


@dataclass(frozen=True)
class Recording:
    """One recording with its annotated beats."""

    name: str
    """Unique in the data set; the name in tables, plots and .beats files."""
    piece: str
    """The recorded piece; a piece is in one split."""
    beats: Beats
    seconds: float
    """Length of the audio."""
    load: Callable[[], Tensor]
    """Returns the audio, (T,) float32 at 16 kHz."""


@dataclass(frozen=True)
class Row:
    """One line of a CSV file, or one pair of files in a folder."""

    location: str
    audio: Path
    beats: Path
    piece: str
    split: str
    fold: str


def load_splits(
    root: str | Path,
    ratios: Sequence[float] = (0.8, 0.1, 0.1),
    split_seed: int = 0,
    test_fold: str | int | None = None,
) -> dict[str, list[Recording]]:
    """The recordings of each split of a data set; all are checked, but no audio is decoded.

    Splits are given by ``test_fold``, else by the column ``split``, else by ``ratios``.

    Args:
        root: a CSV file or a folder, see above.
        ratios: shares of train, dev and test for a data set without splits.
        split_seed: seed of the splits by ratio, which do not depend on the order of files.
        test_fold: value of the column ``fold`` for test; the next fold is dev, the rest train.

    Raises:
        DataError: missing or invalid data; lists the errors of all recordings.
        AudioError: audio that cannot be read, if it is the only error.
    """
    root = Path(root)
    rows = list_rows(root)
    splits = _splits_of_pieces(rows, root, ratios, split_seed, test_fold)
    by_split: dict[str, list[Recording]] = {split: [] for split in SPLITS}
    for row, recording in zip(rows, _recordings(root, rows), strict=True):
        by_split[splits[row.piece]].append(recording)
    for split, recordings in by_split.items():
        if not recordings:
            raise DataError(
                f"{root}: the split {split} is empty; give it pieces in the column split, "
                f"or more pieces, or get {DATA_SOURCES}"
            )
    return by_split


def load_recordings(root: str | Path, rows: Sequence[Row] | None = None) -> list[Recording]:
    """The recordings of rows, by default of all rows; all are checked, but no audio is decoded.

    Raises:
        DataError, AudioError: as :func:`load_splits`.
    """
    root = Path(root)
    return _recordings(root, list_rows(root) if rows is None else rows)


def _read_csv(path: Path) -> list[Row]:
    rows = []
    for row in read_csv(path, ("audio", "beats"), ("piece", "split", "fold"), names_files=True):
        cells = row.cells
        for column in ("audio", "beats"):
            if not cells[column]:
                raise DataError(f"{row.location}: the column {column} is empty; give the path of the file")
        split = cells.get("split", "").lower()
        if split and split not in SPLIT_NAMES:
            raise DataError(f"{row.location}: unknown split {split!r}; expected {', '.join(SPLITS)}")
        audio = path.parent / cells["audio"]
        rows.append(
            Row(
                row.location,
                audio,
                path.parent / cells["beats"],
                cells.get("piece") or audio.stem,
                SPLIT_NAMES.get(split, ""),
                cells.get("fold", ""),
            )
        )
    if not rows:
        raise DataError(f"{path}: contains no recordings; get {DATA_SOURCES}")
    return rows


def list_rows(root: Path) -> list[Row]:
    """The rows of a CSV file, of ``splits.csv`` in a folder, or of the audio files in a folder.

    Raises:
        DataError: no such folder or file, or no audio in it.
    """
    if root.is_file():
        return _read_csv(root)
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder or CSV file; datarc.root needs audio with .beats files: {DATA_SOURCES}"
        )
    if (root / "splits.csv").is_file():
        return _read_csv(root / "splits.csv")
    # Incomplete files of a running preparation start with a dot.
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise DataError(f"{root}: contains no audio files; get {DATA_SOURCES}")
    rows = []
    for audio in files:
        paths = (audio.with_suffix(".beats"), audio.parent.parent / "beats" / f"{audio.stem}.beats")
        beats = next((path for path in paths if path.is_file()), paths[0])
        rows.append(Row(str(audio), audio, beats, audio.stem, "", ""))
    return rows


def _splits_of_pieces(
    rows: Sequence[Row], root: Path, ratios: Sequence[float], seed: int, test_fold: str | int | None
) -> dict[str, str]:
    if test_fold is not None:
        return _splits_by_fold(rows, root, str(test_fold))
    if not any(row.split for row in rows):
        return split_by_ratio([row.piece for row in rows], ratios, seed)
    for row in rows:
        if not row.split:
            raise DataError(f"{row.location}: the column split is empty; fill it in every line or in none")
    return _value_by_piece(rows, "split")


def _splits_by_fold(rows: Sequence[Row], root: Path, test_fold: str) -> dict[str, str]:
    for row in rows:
        if not row.fold:
            raise DataError(f"{row.location}: datarc.test_fold is {test_fold} but the line has no fold")
    folds = sorted({row.fold for row in rows}, key=lambda fold: (len(fold), fold))
    if test_fold not in folds:
        raise DataError(f"{root}: datarc.test_fold is {test_fold}, but the folds are {', '.join(folds)}")
    if len(folds) < 3:
        raise DataError(f"{root}: {len(folds)} folds; train, dev and test need at least 3")
    dev_fold = folds[(folds.index(test_fold) + 1) % len(folds)]
    of_piece = _value_by_piece(rows, "fold")
    names = {test_fold: "test", dev_fold: "dev"}
    return {piece: names.get(fold, "train") for piece, fold in of_piece.items()}


def _value_by_piece(rows: Sequence[Row], column: Literal["split", "fold"]) -> dict[str, str]:
    values: dict[str, str] = {}
    for row in rows:
        value: str = getattr(row, column)
        if values.setdefault(row.piece, value) != value:
            raise DataError(
                f"{row.location}: the piece {row.piece!r} is in {column} {value} here and in {column} "
                f"{values[row.piece]} above; keep a piece in one {column}"
            )
    return values


def split_by_ratio(pieces: Sequence[str], ratios: Sequence[float], seed: int) -> dict[str, str]:
    """Assign pieces to train, dev and test, independently of their order.

    Pieces are sorted by a hash of their name and split by ``ratios``; every split with a ratio above 0 has at
    least one piece.

    Raises:
        DataError: fewer pieces than splits.
    """
    shares = {split: ratio for split, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0}
    unique = sorted(set(pieces), key=lambda piece: hashlib.sha256(f"{seed}:{piece}".encode()).digest())
    if len(unique) < len(shares):
        raise DataError(
            f"{len(unique)} pieces cannot be split into {', '.join(shares)}; each needs at least one "
            f"piece: add some"
        )
    counts = apportion(len(unique), shares)
    splits = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(unique, splits, strict=True))


def apportion(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide ``count`` into whole numbers near the shares, at least 1 each."""
    counts = dict.fromkeys(shares, 1)
    total = sum(shares.values())
    for _ in range(count - len(counts)):
        counts[max(shares, key=lambda name: shares[name] / total * count - counts[name])] += 1
    return counts


def write_splits(target: Path, rows: Sequence[tuple[Path, Path, Mapping[str, object]]]) -> None:
    """Write the CSV file of a data set atomically.

    Args:
        target: path of the file.
        rows: audio and .beats file of each recording, and its values of the other columns.
    """
    with (
        atomic_path(target) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["audio", "beats", *rows[0][2]])
        for audio, beats, cells in rows:
            paths = [Path(os.path.relpath(path, target.parent)).as_posix() for path in (audio, beats)]
            table.writerow([*paths, *cells.values()])


def _unique_names(rows: Sequence[Row], folder: Path) -> list[str]:
    """The stem of each audio file, or its path in the data set if the stem is not unique."""
    locations: dict[Path, str] = {}
    for row in rows:
        if row.audio in locations:
            raise DataError(f"{row.location}: {row.audio} is listed twice, first at {locations[row.audio]}")
        locations[row.audio] = row.location
    stems = Counter(row.audio.stem for row in rows)
    return [
        safe_file_name(
            row.audio.stem
            if stems[row.audio.stem] == 1
            else "_".join(Path(os.path.relpath(row.audio, folder)).parts)
        )
        for row in rows
    ]


def _recordings(root: Path, rows: Sequence[Row]) -> list[Recording]:
    """A recording for each row; the errors of all are reported together."""
    names = _unique_names(rows, root if root.is_dir() else root.parent)
    recordings: list[Recording] = []
    errors: list[DataError | AudioError] = []
    for row, name in zip(rows, names, strict=True):
        try:
            recordings.append(_recording(row, name))
        except (DataError, AudioError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        messages = ";\n  ".join(map(str, errors))
        raise DataError(f"{root}: {len(errors)} of {len(rows)} recordings cannot be used:\n  {messages}")
    return recordings


def _recording(row: Row, name: str) -> Recording:
    from motionbeat_upstream.audio import read_audio

    # Unlike Path.is_file, os.path.isfile returns False for a name that is too long.
    if not os.path.isfile(row.audio):
        raise DataError(f"{row.location}: no audio file {row.audio}")
    if not os.path.isfile(row.beats):
        raise DataError(
            f"{row.audio}: no annotation; expected {row.beats} (a .beats file of the same stem beside it or "
            f"in a folder beats beside its own); annotate it, leave it out, or get {DATA_SOURCES}"
        )
    beats = read_beats(row.beats)
    samples, rate = audio_length(row.audio)
    seconds = samples / rate
    if beats.times[-1] > seconds + MAX_OVERRUN_SECONDS:
        raise DataError(
            f"{row.beats}: the beat at {beats.times[-1]:.3f} s is beyond the end of {row.audio} at "
            f"{seconds:.3f} s; give the annotation of this recording"
        )
    return Recording(name, row.piece, beats, seconds, partial(read_audio, row.audio))

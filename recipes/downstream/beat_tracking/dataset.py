"""The pieces of a data set, and which split each belongs to.

A data set is a CSV file, or a folder with a ``splits.csv``, with the columns ``audio`` and
``beats`` (paths from the CSV's folder) and, if wanted, ``piece``, ``split`` (train, dev, test) and
``fold``; or a plain folder of audio files, each with a ``.beats`` file of the same stem beside it
or in a folder ``beats`` beside its own. Recordings of one piece are never in two splits.
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

END_SLACK = 0.1
"""Seconds by which a last beat may lie beyond the audio: tables are rounded, clips cut short."""

SPLIT_NAMES = {"valid": "dev", "val": "dev", "validation": "dev"} | {split: split for split in SPLITS}
"""What a data set may call a split, and what it is called here."""

SOURCES = (
    "GTZAN-Rhythm or Ballroom (audio from their authors, .beats from their annotation repositories), or the "
    "eight songs of `python -m recipes.downstream.beat_tracking.prepare.debian_songs OUT`"
)
"""Where a user without data gets some, for messages."""


@dataclass(frozen=True)
class Recording:
    """One recording with its annotated beats."""

    name: str
    """Unique in the data set; tables, plots and .beats files are named by it."""
    piece: str
    """What it is a recording of; splits are made by piece."""
    beats: Beats
    seconds: float
    """Length of the audio."""
    load: Callable[[], Tensor]
    """Gives the audio, (T,) float32 at 16 kHz."""


@dataclass(frozen=True)
class Row:
    """One line of a CSV, or one pair of files of a folder."""

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
    """The recordings of each split of a data set; all are checked, no audio is decoded yet.

    Splits are, in this order: by ``test_fold``; the CSV's column ``split``; by ``ratios``.

    Args:
        root: a CSV file or a folder, see above.
        ratios: shares of train, dev and test where the data set names no splits.
        split_seed: another number gives other splits by ratio; they do not depend on file order.
        test_fold: value of the column ``fold`` to test on; the next fold is dev, the rest train.

    Raises:
        DataError: what is missing or wrong, where, and what to do; of every recording at once.
        AudioError: audio that cannot be read, where only one recording is faulty.
    """
    root = Path(root)
    rows = listed_in(root)
    splits = _splits_of_pieces(rows, root, ratios, split_seed, test_fold)
    by_split: dict[str, list[Recording]] = {split: [] for split in SPLITS}
    for row, recording in zip(rows, _recordings(root, rows), strict=True):
        by_split[splits[row.piece]].append(recording)
    for split, recordings in by_split.items():
        if not recordings:
            raise DataError(
                f"{root}: the split {split} is empty; give it pieces in the column split, "
                f"or more pieces, or get {SOURCES}"
            )
    return by_split


def load_recordings(root: str | Path, rows: Sequence[Row] | None = None) -> list[Recording]:
    """The recordings of some rows of :func:`listed_in`, or of all; all are checked, no audio is decoded yet.

    Raises:
        DataError, AudioError: as :func:`load_splits`.
    """
    root = Path(root)
    return _recordings(root, listed_in(root) if rows is None else rows)


def _read_csv(path: Path) -> list[Row]:
    rows = []
    for row in read_csv(path, ("audio", "beats"), ("piece", "split", "fold"), names_files=True):
        cells = row.cells
        for column in ("audio", "beats"):
            if not cells[column]:
                raise DataError(f"{row.location}: the column {column} is empty; give the file's path")
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
        raise DataError(f"{path}: lists no recordings; get {SOURCES}")
    return rows


def listed_in(root: Path) -> list[Row]:
    """What a CSV file lists, or a folder in its ``splits.csv``, or what the folder holds.

    Raises:
        DataError: there is no such folder or file, or there is no audio in it.
    """
    if root.is_file():
        return _read_csv(root)
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder or CSV file; datarc.root needs audio with .beats files: {SOURCES}"
        )
    if (root / "splits.csv").is_file():
        return _read_csv(root / "splits.csv")
    # An unfinished file of a running preparation starts with a dot.
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise DataError(f"{root}: holds no audio files; get {SOURCES}")
    rows = []
    for audio in files:
        places = (audio.with_suffix(".beats"), audio.parent.parent / "beats" / f"{audio.stem}.beats")
        beats = next((place for place in places if place.is_file()), places[0])
        rows.append(Row(str(audio), audio, beats, audio.stem, "", ""))
    return rows


def _splits_of_pieces(
    rows: Sequence[Row], root: Path, ratios: Sequence[float], seed: int, test_fold: str | int | None
) -> dict[str, str]:
    if test_fold is not None:
        return _splits_by_fold(rows, root, str(test_fold))
    named = [row for row in rows if row.split]
    if not named:
        return split_by_ratio([row.piece for row in rows], ratios, seed)
    for row in rows:
        if not row.split:
            raise DataError(f"{row.location}: the column split is empty; fill it in on every line or on none")
    return _one_value_a_piece(rows, "split")


def _splits_by_fold(rows: Sequence[Row], root: Path, test_fold: str) -> dict[str, str]:
    for row in rows:
        if not row.fold:
            raise DataError(f"{row.location}: datarc.test_fold is {test_fold} but the line names no fold")
    folds = sorted({row.fold for row in rows}, key=lambda fold: (len(fold), fold))
    if test_fold not in folds:
        raise DataError(f"{root}: datarc.test_fold is {test_fold}, but the folds are {', '.join(folds)}")
    if len(folds) < 3:
        raise DataError(f"{root}: {len(folds)} folds; train, dev and test need at least 3")
    dev_fold = folds[(folds.index(test_fold) + 1) % len(folds)]
    of_piece = _one_value_a_piece(rows, "fold")
    names = {test_fold: "test", dev_fold: "dev"}
    return {piece: names.get(fold, "train") for piece, fold in of_piece.items()}


def _one_value_a_piece(rows: Sequence[Row], column: Literal["split", "fold"]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        value: str = getattr(row, column)
        if found.setdefault(row.piece, value) != value:
            raise DataError(
                f"{row.location}: the piece {row.piece!r} is in {column} {value} here and in {column} "
                f"{found[row.piece]} above; a piece must stay in one, or the test is no test"
            )
    return found


def split_by_ratio(pieces: Sequence[str], ratios: Sequence[float], seed: int) -> dict[str, str]:
    """Deal pieces to train, dev and test, the same whatever their order.

    Pieces are ordered by a hash of their name and cut by ``ratios``; every split with a ratio
    above 0 gets at least one piece.

    Raises:
        DataError: fewer pieces than splits.
    """
    wanted = {split: ratio for split, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0}
    unique = sorted(set(pieces), key=lambda piece: hashlib.sha256(f"{seed}:{piece}".encode()).digest())
    if len(unique) < len(wanted):
        raise DataError(
            f"{len(unique)} pieces cannot be split into {', '.join(wanted)}; at least one piece each is "
            f"needed; add some"
        )
    counts = deal(len(unique), wanted)
    dealt = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(unique, dealt, strict=True))


def deal(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers near the shares, at least 1 each, that add up to ``count`` if that can be."""
    dealt = dict.fromkeys(shares, 1)
    total = sum(shares.values())
    for _ in range(count - len(dealt)):
        # The next one goes where most is missing from the share.
        dealt[max(shares, key=lambda name: shares[name] / total * count - dealt[name])] += 1
    return dealt


def write_splits(target: Path, rows: Sequence[tuple[Path, Path, Mapping[str, object]]]) -> None:
    """Write a data set's CSV file; it appears when it is whole.

    Args:
        target: the file.
        rows: audio and .beats file of each recording, and its values in all other columns.
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
    """The stem of each audio file, or its whole path in the data set where stems are alike."""
    seen: dict[Path, str] = {}
    for row in rows:
        if row.audio in seen:
            raise DataError(f"{row.location}: {row.audio} is listed twice, first at {seen[row.audio]}")
        seen[row.audio] = row.location
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
    """A recording for each row; the faults of all are reported together."""
    names = _unique_names(rows, root if root.is_dir() else root.parent)
    recordings: list[Recording] = []
    faults: list[DataError | AudioError] = []
    for row, name in zip(rows, names, strict=True):
        try:
            recordings.append(_recording(row, name))
        except (DataError, AudioError) as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        listed = ";\n  ".join(map(str, faults))
        raise DataError(f"{root}: {len(faults)} of {len(rows)} recordings cannot be used:\n  {listed}")
    return recordings


def _recording(row: Row, name: str) -> Recording:
    from motionbeat_upstream.audio import read_audio

    # Unlike Path.is_file, it takes a name that is too long for one of no file.
    if not os.path.isfile(row.audio):
        raise DataError(f"{row.location}: no audio file {row.audio}")
    if not os.path.isfile(row.beats):
        raise DataError(
            f"{row.audio}: no annotation; expected {row.beats} (a .beats file of the same stem beside it or "
            f"in a folder beats beside its own); annotate it, leave it out, or get {SOURCES}"
        )
    beats = read_beats(row.beats)
    samples, rate = audio_length(row.audio)
    seconds = samples / rate
    if beats.times[-1] > seconds + END_SLACK:
        raise DataError(
            f"{row.beats}: the beat at {beats.times[-1]:.3f} s lies beyond the end of {row.audio} at "
            f"{seconds:.3f} s; are they of the same recording?"
        )
    return Recording(name, row.piece, beats, seconds, partial(read_audio, row.audio))

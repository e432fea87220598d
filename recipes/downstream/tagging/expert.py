"""The task tagging: tags of a clip.

On MagnaTagATune with its fifty most frequent tags and the split 12:1:3, or on MTG-Jamendo's top fifty tags.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from motion_data.csv_file import read_csv
from motion_data.errors import DataError
from motion_data.pair import SPLITS
from recipes.downstream.clip_probing.clip_expert import ClipExpert, ClipTask, Layout
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.published import file_clip, require_path
from recipes.downstream.clip_probing.synthetic import synthetic_mixtures
from recipes.downstream.clip_probing.targets import Tags

MAGNATAGATUNE = (
    "MagnaTagATune (mirg.city.ac.uk/codeapps/the-magnatagatune-dataset, CC BY-NC-SA): annotations_final.csv, "
    "and the audio's sixteen folders 0 … f beside it"
)

MTG_JAMENDO = (
    "MTG-Jamendo (github.com/MTG/mtg-jamendo-dataset): its repository's data/splits, and the audio of "
    "autotagging_top50tags in audio/ (00/7400.mp3 or 00/7400.low.mp3 …)"
)

TAGS = 50

FOLDERS = {"train": "0123456789ab", "dev": "c", "test": "def"}
"""MagnaTagATune's split 12:1:3, by the folder of the audio."""

PARTS = {"train": "train", "dev": "validation", "test": "test"}
"""MTG-Jamendo's names of the splits."""


def read_magnatagatune(root: Path, fold: int) -> ClipData:
    """All clips of MagnaTagATune, including those without any of the fifty tags.

    Empty files are left out; the published archive has three. A group is the song of a clip; artists may be
    in several splits.

    Raises:
        DataError: not MagnaTagATune.
    """
    table = require_path(root, "annotations_final.csv", MAGNATAGATUNE)
    rows = [row.cells for row in read_csv(table, ("clip_id", "mp3_path"), delimiter="\t")]
    all_tags = [name for name in rows[0] if name not in ("clip_id", "mp3_path")] if rows else []
    invalid = next((row for row in rows if not _is_binary(row, all_tags)), None)
    if invalid is not None:
        raise DataError(f"{table}: clip {invalid['clip_id']}: a tag is neither 0 nor 1")
    counts = {tag: sum(row[tag] == "1" for row in rows) for tag in all_tags}
    tags = tuple(sorted(sorted(all_tags), key=lambda tag: -counts[tag])[:TAGS])
    splits: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for row in rows:
        path = row["mp3_path"]
        split = next((split for split, folders in FOLDERS.items() if path[:1] in folders), None)
        if split is None:
            raise DataError(
                f"{table}: clip {row['clip_id']} has the path {path!r}; expected one of the folders 0 to f"
            )
        file = root / path
        try:
            empty = file.is_file() and file.stat().st_size == 0
        except OSError as error:
            raise DataError(
                f"{table}: clip {row['clip_id']} has the path {path!r} ({error.strerror})"
            ) from error
        if empty:
            continue
        song = re.sub(r"-\d+-\d+$", "", file.with_suffix("").name)
        label = np.array([row[tag] == "1" for tag in tags], dtype=np.float32)
        splits[split].append(file_clip(row["clip_id"], f"{path[:1]}/{song}", label, file))
    return ClipData("MagnaTagATune, 50 tags, 12:1:3", Tags(tags), "song", splits)


def read_mtg_jamendo(root: Path, fold: int) -> ClipData:
    """MTG-Jamendo's fifty most frequent tags with split 0.

    Raises:
        DataError: not MTG-Jamendo.
    """
    lists: dict[str, list[list[str]]] = {}
    for split, part in PARTS.items():
        table = require_path(root, f"data/splits/split-0/autotagging_top50tags-{part}.tsv", MTG_JAMENDO)
        # Each tag has its own column, and only the first has a heading.
        try:
            with table.open(encoding="utf-8", newline="") as file:
                header, *rows = list(csv.reader(file, delimiter="\t")) or [[]]
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{table}: not a table in UTF-8 ({error}); get {MTG_JAMENDO}") from error
        if header[:6] != ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]:
            raise DataError(f"{table}: expected the columns TRACK_ID … TAGS, got {header}")
        short = next((row for row in rows if len(row) < 6), None)
        if short is not None:
            raise DataError(f"{table}: the row {short} has {len(short)} cells; expected 6 or more")
        lists[split] = rows
    tags = tuple(sorted({tag for rows in lists.values() for row in rows for tag in row[5:]}))
    audio = require_path(root, "audio", MTG_JAMENDO)
    splits = {
        split: [
            file_clip(row[0], row[2], np.isin(tags, row[5:]).astype(np.float32), _full_or_low(audio / row[3]))
            for row in rows
        ]
        for split, rows in lists.items()
    }
    return ClipData("MTG-Jamendo, top 50 tags, split 0", Tags(tags), "album", splits)


def _full_or_low(file: Path) -> Path:
    """The file, or its published low-quality version if only that exists."""
    low = file.with_suffix(f".low{file.suffix}")
    return low if low.is_file() and not file.is_file() else file


def _is_binary(row: dict[str, str], tags: list[str]) -> bool:
    return all(row.get(tag) in ("0", "1") for tag in tags)


TAGGING = ClipTask(
    "tagging",
    {
        "magnatagatune": Layout(read_magnatagatune, 1, MAGNATAGATUNE),
        "mtg_jamendo": Layout(read_mtg_jamendo, 1, MTG_JAMENDO),
    },
    synthetic_mixtures,
)


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = TAGGING

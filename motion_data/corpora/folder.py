"""The user's own pairs: a CSV of audio and motion files."""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.pair import SPLITS
from motion_data.preparation import Job, MadePair, hashed_split, prepare_pairs
from motionbeat_upstream.file_name import printable

NEEDED = ("audio", "motion")

OPTIONAL = ("offset", "piece", "take", "split", "beats", "fps", "unit", "up", "limbs", "licence")

LAYOUT = """\
RAW: a CSV, a pair a line, paths from the CSV's folder. Columns:
  audio    any file that FFmpeg reads
  motion   .bvh; .npz with joints (T, J, 3), names (J,) and fps, or file.npz#array; AIST++'s .pkl,
           60 frames a second, or EDGE's (full_pose), 30
  offset   seconds from the motion's first frame to the audio's beginning, negative where the audio is
           first; empty: what the .npz says as audio_offset_s, or 0
  piece, take, split   empty: the audio's name, the motion's name, dealt 80/10/10 by piece
  beats    .beats of the audio: a line a beat, seconds and position in the bar; empty: beats are
           estimated from the sound, and the pair says so
  fps, unit, up        override what the file says and what is detected: unit m, dm, cm, mm, in, asf or
           metres a unit; up x, y, z, -x, -y, -z
  limbs    feet or hands, whose touch-downs are taken; empty: hands where feet are out of view or the
           body sits
  licence  recorded with the pair
audio and motion are needed; the order is free."""

LICENCE = "the user's own; give it in the column licence."


def add_options(parser: argparse.ArgumentParser) -> None:
    """``motionbeat data prepare folder`` has no options: all stands in the CSV."""


def prepare(raw: Path | None, out: Path, options: argparse.Namespace) -> Corpus:
    """Prepare the pairs of a CSV.

    A line that cannot be used is left out, and its fault recorded with file, line and column.

    Raises:
        DataError: no such file, no such columns, no line, or not one pair.
    """
    if raw is None or not raw.is_file():
        raise DataError(f"{raw}: no such file; expected a CSV with the columns {', '.join(NEEDED)}")
    try:
        # Names of files need not be UTF-8: their bytes are kept.
        with raw.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = tuple(reader.fieldnames or ())
            rows = [
                (f"{raw}:{reader.line_num}", {name: _one_line(cell) for name, cell in row.items()})
                for row in reader
            ]
    except csv.Error as error:
        raise DataError(f"{raw}: not a CSV ({error}); save it as one in UTF-8") from error
    lacking = [name for name in NEEDED if name not in columns]
    unknown = [name for name in columns if name not in NEEDED + OPTIONAL]
    if lacking or unknown:
        fault = f"lacks {', '.join(lacking)}" if lacking else f"has unknown columns {unknown}"
        raise DataError(f"{raw}:1: {fault}; the columns are {', '.join(NEEDED + OPTIONAL)}, in UTF-8")
    if not rows:
        raise DataError(f"{raw}: no line below the header; expected a pair a line")
    wanted = [_name(row.get("motion") or place.rpartition(":")[2]) for place, row in rows]
    count = Counter(wanted)
    names = [
        name if count[name] == 1 else f"{name}-{place.rpartition(':')[2]}"
        for name, (place, _) in zip(wanted, rows, strict=True)
    ]
    jobs = [_job(name, place, row, raw.parent) for name, (place, row) in zip(names, rows, strict=True)]
    return prepare_pairs(out, "folder", {"csv": raw.name}, jobs)


def _one_line(cell: Any) -> Any:
    """A cell on one line; cells beyond the columns come as a list, and are refused later."""
    return " ".join(cell.splitlines()) if isinstance(cell, str) else cell


def _name(motion: str) -> str:
    file, _, array = motion.partition("#")
    return (
        "-".join(filter(None, (Path(file).stem, re.sub(r'[<>:"/\\|?*]', "-", array)))).lstrip(".") or "motion"
    )


def _job(name: str, place: str, row: Mapping[str | None, str | None], folder: Path) -> Job:
    cells = {column: (row.get(column) or "").strip() for column in NEEDED + OPTIONAL}
    sources = [folder / cells[column].partition("#")[0] for column in ("audio", "motion", "beats")]

    def make() -> list[MadePair]:
        from motion_data.corpora.paired_files import LIMBS, PairedFiles, make_pair

        if None in row:
            raise DataError(f"{place}: more cells than columns; quote cells that hold a comma")
        for column in (*NEEDED, "beats"):
            path = folder / cells[column].partition("#")[0]
            if (column in NEEDED and not cells[column]) or (cells[column] and not path.is_file()):
                hint = "" if printable(cells[column]) == cells[column] else "; save the CSV as UTF-8"
                raise DataError(
                    f"{place}: {column} is {cells[column]!r}; expected a file, none is at {path}{hint}"
                )
        piece = cells["piece"] or Path(cells["audio"]).stem
        split = cells["split"] or hashed_split(piece)
        if split not in SPLITS:
            raise DataError(f"{place}: split is {split!r}; expected {', '.join(SPLITS)}, or nothing")
        limbs = cells["limbs"] or None
        if limbs not in (None, *LIMBS):
            raise DataError(f"{place}: limbs is {limbs!r}; expected {', '.join(LIMBS)}, or nothing")
        files = PairedFiles(
            name=name,
            corpus="folder",
            audio=folder / cells["audio"],
            motion=str(folder / cells["motion"]),
            piece=piece,
            take=cells["take"] or name,
            split=split,
            licence=cells["licence"] or "the user's own",
            offset=_number(place, "offset", cells["offset"]),
            beats=folder / cells["beats"] if cells["beats"] else None,
            fps=_number(place, "fps", cells["fps"]),
            unit=cells["unit"] or None,
            up=cells["up"] or None,
            limbs=limbs,
        )
        try:
            return [make_pair(files)]
        except ValueError as error:  # DataError and AudioError are both of this kind
            raise DataError(f"{place}: {error}") from error

    # A pair is made again when its own line changes, and not when others do.
    return Job(name, tuple(path for path in sources if path != folder), make, tuple(cells.values()))


def _number(place: str, column: str, cell: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{place}: {column} is {cell!r}; expected a number, or nothing")
    return value

"""The user's own pairs: a CSV of audio and motion files."""

from __future__ import annotations

import argparse
import math
import re
from collections import Counter
from pathlib import Path

from motion_data.csv_file import Row, read_csv
from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.pair import SPLITS
from motion_data.preparation import Job, PreparedPair, prepare_pairs, split_by_hash
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


def prepare(raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
    """Prepare the pairs of a CSV.

    A line that cannot be used is left out, and its fault recorded with file, line and column.

    Raises:
        DataError: no such file, no such columns, no line, or not one pair.
    """
    if not raw.is_file():
        raise DataError(f"{raw}: no such file; expected a CSV with the columns {', '.join(NEEDED)}")
    rows = read_csv(raw, NEEDED, OPTIONAL, names_files=True)
    if not rows:
        raise DataError(f"{raw}: no line below the header; expected a pair a line")
    unknown = [name for name in rows[0].cells if name not in NEEDED + OPTIONAL]
    if unknown:
        raise DataError(
            f"{raw}:1: has unknown columns {unknown}; the columns are {', '.join(NEEDED + OPTIONAL)}, "
            f"in UTF-8"
        )
    lines = [row.location.rpartition(":")[2] for row in rows]
    wanted = [_name(row.cells["motion"] or line) for row, line in zip(rows, lines, strict=True)]
    count = Counter(wanted)
    jobs = [
        _job(name if count[name] == 1 else f"{name}-{line}", row, raw.parent)
        for name, line, row in zip(wanted, lines, rows, strict=True)
    ]
    return prepare_pairs(out, "folder", {"csv": raw.name}, jobs)


def _name(motion: str) -> str:
    file, _, array = motion.partition("#")
    return (
        "-".join(filter(None, (Path(file).stem, re.sub(r'[<>:"/\\|?*]', "-", array)))).lstrip(".") or "motion"
    )


def _job(name: str, row: Row, folder: Path) -> Job:
    place, cells = row.location, {column: row.cells.get(column, "") for column in NEEDED + OPTIONAL}
    sources = [folder / cells[column].partition("#")[0] for column in ("audio", "motion", "beats")]

    def make() -> list[PreparedPair]:
        from motion_data.corpora.paired_files import LIMBS, PairedFiles, make_pair

        if row.has_extra_cells:
            raise DataError(f"{place}: more cells than columns; quote cells that hold a comma")
        for column in (*NEEDED, "beats"):
            path = folder / cells[column].partition("#")[0]
            if (column in NEEDED and not cells[column]) or (cells[column] and not path.is_file()):
                hint = "" if printable(cells[column]) == cells[column] else "; save the CSV as UTF-8"
                raise DataError(
                    f"{place}: {column} is {cells[column]!r}; expected a file, none is at {path}{hint}"
                )
        piece = cells["piece"] or Path(cells["audio"]).stem
        split = cells["split"] or split_by_hash(piece)
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

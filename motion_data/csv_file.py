"""Tables in CSV files with a header."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motion_data.errors import DataError
from motionbeat_upstream.file_name import printable


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    location: str
    """File and line, for messages."""
    cells: dict[str, str]
    """Values by column, without line breaks and surrounding blanks; empty if the row is too short."""
    has_extra_cells: bool = False
    """Whether there were cells beyond the last column, which are dropped."""


def read_csv(
    path: str | Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    delimiter: str = ",",
    names_files: bool = False,
) -> list[Row]:
    """Read a table in UTF-8; empty lines are skipped, and further columns are allowed.

    Args:
        path: the file.
        columns: required columns.
        optional: optional columns, for the message.
        delimiter: separator of cells.
        names_files: whether cells are file names, whose bytes are kept if they are not UTF-8. Such tables
            are written by hand, so unbalanced quotes are refused.

    Raises:
        DataError: the file is missing or not a table in UTF-8, or a column is missing or occurs twice.
    """
    try:
        errors = "surrogateescape" if names_files else "strict"
        with Path(path).open(encoding="utf-8-sig", errors=errors, newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=names_files)
            names = [" ".join((name or "").split()) for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = [(f"{path}:{reader.line_num}", row) for row in reader]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error}); save it as one") from error
    missing = [column for column in columns if column not in names]
    if missing:
        expected = ",".join(columns) + (f" and optionally {','.join(optional)}" if optional else "")
        raise DataError(
            f"{path}: no column {' and no column '.join(missing)}; expected {expected}, in UTF-8; found "
            f"{printable(', '.join(names)) or 'nothing'}"
        )
    duplicates = [name for name in (*columns, *optional) if names.count(name) > 1]
    if duplicates:
        raise DataError(f"{path}: the column {duplicates[0]} occurs twice; leave one")
    return [
        Row(location, {name: " ".join((row[name] or "").splitlines()).strip() for name in names}, None in row)
        for location, row in rows
    ]

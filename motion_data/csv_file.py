"""Tables in CSV files: a header, and a row a line."""

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
    """Values by column, on one line and without surrounding blanks; empty where the row is too short."""
    has_extra_cells: bool = False
    """Whether there are cells beyond the last column, which are dropped."""


def read_csv(
    path: str | Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    delimiter: str = ",",
    names_files: bool = False,
) -> list[Row]:
    """Read a table in UTF-8 that has certain columns, and perhaps others; empty lines are skipped.

    Args:
        path: the file.
        columns: that it must have.
        optional: further columns that have a meaning, for the message.
        delimiter: between cells.
        names_files: whether its cells are names of files, whose bytes are kept where they are not UTF-8. Such
            tables are written by hand: quotes that do not match are refused.

    Raises:
        DataError: no such file, no table in UTF-8, or a column that is missing or there twice.
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
        wanted = ",".join(columns) + (f" and, if wanted, {','.join(optional)}" if optional else "")
        raise DataError(
            f"{path}: no column {' and no column '.join(missing)}; expected {wanted}, in UTF-8; found "
            f"{printable(', '.join(names)) or 'nothing'}"
        )
    twice = [name for name in (*columns, *optional) if names.count(name) > 1]
    if twice:
        raise DataError(f"{path}: the column {twice[0]} is there twice; leave one")
    return [
        Row(location, {name: " ".join((row[name] or "").splitlines()).strip() for name in names}, None in row)
        for location, row in rows
    ]

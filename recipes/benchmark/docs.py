"""Update the tables and values of the documents from the result files in docs/results.

    python -m recipes.benchmark docs                # update all documents
    python -m recipes.benchmark docs --check        # exit code 1 if one is not up to date
    cp result/beats/tables.json docs/results/beats.json    # publish new results

A comment in a document requests a table or a value, and the command writes it between the comment and the
next `<!-- end -->`:

    <!-- table: beats "debian_songs" -->            a table of docs/results/beats.json, by its title
    <!-- table: beats * "beat F" -->                one measure of all tables of the file, one column each
    <!-- figure: beats "debian_songs" motionbeat "beat F" -->     a single value, within a line

``rows=a,b`` and ``columns=a,b`` select rows and columns of a table.
"""

from __future__ import annotations

import argparse
import math
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import command
from recipes.results.estimates import Estimate
from recipes.results.published import read_tables
from recipes.results.tables import ResultTable

DOCUMENTS = ("*.md", "docs/*.md", "recipes/**/*.md", "motionbeat_upstream/**/*.md")
"""Files with results, relative to the folder of the project."""

RESULTS = "docs/results"

T = TypeVar("T")

UNDEFINED = Estimate(math.nan)

BLOCK = re.compile(r"<!-- (table|figure): (.*?) -->(.*?)<!-- end -->", re.DOTALL)


@command("recipes.benchmark docs")
def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code is 1 if ``--check`` finds a document that is not up to date."""
    parser = argparse.ArgumentParser(
        "python -m recipes.benchmark docs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder of the project (the current one)"
    )
    options = parser.parse_args(arguments)
    documents = sorted({path for pattern in DOCUMENTS for path in options.root.glob(pattern)})
    stale = []
    for path in documents:
        text = path.read_text(encoding="utf-8")
        current = fill_document(text, options.root / RESULTS, str(path))
        if current != text:
            stale.append(path)
            if not options.check:
                write_text(path, current)
    for path in stale:
        print(f"{path}: {'not up to date' if options.check else 'written'}")
    if options.check and stale:
        print("run `python -m recipes.benchmark docs`", file=sys.stderr)
        return 1
    return 0


def fill_document(text: str, results: Path, name: str) -> str:
    """Fill in the tables and values of a document.

    Args:
        text: text of the document.
        results: folder of the result files.
        name: name of the document, for messages.

    Raises:
        DataError: a comment names an unknown file, table, row or measure.
    """

    def fill(block: re.Match[str]) -> str:
        kind, request = block[1], block[2]
        try:
            content = _table(request, results) if kind == "table" else _figure(request, results)
        except DataError as error:
            raise DataError(f"{name}: <!-- {kind}: {request} -->: {error}") from None
        return f"<!-- {kind}: {request} -->{content}<!-- end -->"

    return BLOCK.sub(fill, text)


def _table(request: str, results: Path) -> str:
    words = shlex.split(request)
    options = {key: names.split(",") for key, sign, names in (word.partition("=") for word in words) if sign}
    match [word for word in words if "=" not in word]:
        case [file, "*", measure]:
            table = _one_measure(_tables(results, file), measure)
        case [file, title]:
            table = _find(_tables(results, file), title, "table")
        case _:
            raise DataError("expected FILE TITLE or FILE * MEASURE, then rows=NAMES and columns=NAMES")
    table = _select_rows(table, options.pop("rows", None))
    table = _select_columns(table, options.pop("columns", None))
    if options:
        raise DataError(f"unknown option {', '.join(options)}; expected rows or columns")
    return "\n".join(["", "", *table.lines(), "", ""])


def _figure(request: str, results: Path) -> str:
    match shlex.split(request):
        case [file, title, name, measure]:
            table = _find(_tables(results, file), title, "table")
        case _:
            raise DataError("expected FILE TITLE ROW MEASURE")
    row = _find({**table.rows, **table.margins}, name, "row")
    return row[_column(table, measure)].text("+" if name in table.margins else "")


@lru_cache(maxsize=64)
def _tables(results: Path, file: str) -> dict[str, ResultTable]:
    return read_tables(results / f"{file}.json")


def _one_measure(tables: Mapping[str, ResultTable], measure: str) -> ResultTable:
    """Table of one measure of several tables, one column each; missing rows are undefined."""
    columns = {title: _column(table, measure) for title, table in tables.items()}

    def rows(part: Callable[[ResultTable], Mapping[str, Sequence[Estimate]]]) -> dict[str, list[Estimate]]:
        names = dict.fromkeys(name for table in tables.values() for name in part(table))
        return {
            name: [
                part(table)[name][columns[title]] if name in part(table) else UNDEFINED
                for title, table in tables.items()
            ]
            for name in names
        }

    heading = next(iter(tables.values())).row_heading
    return ResultTable(
        measure,
        tuple(tables),
        rows(lambda table: table.rows),
        rows(lambda table: table.margins),
        row_heading=heading,
    )


def _select_rows(table: ResultTable, names: Sequence[str] | None) -> ResultTable:
    if names is None:
        return table
    for name in names:
        _find(dict.fromkeys([*table.rows, *table.margins, *table.references]), name, "row")

    def select(part: Mapping[str, T]) -> dict[str, T]:
        return {name: part[name] for name in names if name in part}

    return replace(
        table, rows=select(table.rows), margins=select(table.margins), references=select(table.references)
    )


def _select_columns(table: ResultTable, measures: Sequence[str] | None) -> ResultTable:
    if measures is None:
        return table
    columns = [_column(table, measure) for measure in measures]

    def select(part: Mapping[str, Sequence[T]]) -> dict[str, list[T]]:
        return {name: [row[column] for column in columns] for name, row in part.items()}

    return replace(
        table,
        measures=tuple(measures),
        rows=select(table.rows),
        margins=select(table.margins),
        references=select(table.references),
    )


def _column(table: ResultTable, measure: str) -> int:
    _find(dict.fromkeys(table.measures), measure, "measure")
    return table.measures.index(measure)


def _find(entries: Mapping[str, T], name: str, kind: str) -> T:
    if name not in entries:
        raise DataError(f"no {kind} {name!r}; choose from {', '.join(map(repr, entries))}")
    return entries[name]


if __name__ == "__main__":
    sys.exit(main())

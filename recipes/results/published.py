"""Tables of results as JSON files. Benchmarks write them; those in ``docs/results`` are documentation."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from recipes.results.estimates import Estimate
from recipes.results.record import command_and_versions
from recipes.results.tables import ResultTable

FORMAT = 1
"""Version of the file format."""


def write_tables(path: Path, tables: Sequence[ResultTable]) -> None:
    """Write tables with the command of this process and the versions of its packages."""
    content = {"format": FORMAT, **command_and_versions(), "tables": [_record(table) for table in tables]}
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_tables(path: Path) -> dict[str, ResultTable]:
    """Read the tables of a file, by title.

    Raises:
        DataError: the file cannot be read or has another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
        tables = [_table(record) for record in content["tables"]]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; a benchmark writes it as tables.json") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a file of result tables ({error!r}); write it again") from None
    return {table.title: table for table in tables}


def _record(table: ResultTable) -> dict[str, Any]:
    return {
        "title": table.title,
        "row_heading": table.row_heading,
        "measures": list(table.measures),
        "rows": {name: [_numbers(estimate) for estimate in row] for name, row in table.rows.items()},
        "margins": {name: [_numbers(estimate) for estimate in row] for name, row in table.margins.items()},
        "references": {
            name: [_numbers(Estimate(value)) for value in row] for name, row in table.references.items()
        },
        "notes": table.notes,
    }


def _table(record: dict[str, Any]) -> ResultTable:
    measures = tuple(str(name) for name in record["measures"])
    rows, margins, references = (
        {name: [_estimate(numbers) for numbers in row] for name, row in record[key].items()}
        for key in ("rows", "margins", "references")
    )
    for name, row in [*rows.items(), *margins.items(), *references.items()]:
        if len(row) != len(measures):
            raise ValueError(f"row {name!r} has {len(row)} figures for {len(measures)} measures")
    reference_values = {name: [estimate.value for estimate in row] for name, row in references.items()}
    return ResultTable(
        record["title"], measures, rows, margins, reference_values, record["notes"], record["row_heading"]
    )


def _numbers(estimate: Estimate) -> list[float] | None:
    """The value, followed by its interval if it has one; None for NaN, which JSON lacks."""
    if math.isnan(estimate.value):
        return None
    if math.isnan(estimate.low):
        return [estimate.value]
    return [estimate.value, estimate.low, estimate.high, estimate.groups]


def _estimate(numbers: list[float] | None) -> Estimate:
    match numbers:
        case None:
            return Estimate(math.nan)
        case [value]:
            return Estimate(float(value))
        case [value, low, high, groups]:
            return Estimate(float(value), float(low), float(high), int(groups))
    raise ValueError(f"{numbers!r} is not a figure")

"""The rows that every task and benchmark writes, and their file format.

A file is JSON Lines (UTF-8). A line with an object starts a run: it contains the format, its version and the
fields that the run's rows share. Each following line with an array is a row ``[item, group, measure, value]``
of that run. Files are written atomically. After the run of the upstream a file may contain reference runs:
the true dances, chance, a baseline without learning.

An unknown value has no row. Values of the whole run, such as a median rank, have an empty item and group.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.version import __version__

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "motionbeat.results"

VERSION = 1
"""Incremented whenever files of an earlier version can no longer be read."""

RUN_COLUMNS = ("task", "data", "upstream", "checkpoint", "seed", "fold")
ROW_COLUMNS = ("item", "group", "measure", "value")
COLUMNS = (*RUN_COLUMNS, *ROW_COLUMNS)
"""Columns of the long form."""

MAX_SHOWN_CHARACTERS = 60
"""Characters of an invalid row that an error message shows."""

PACKAGES = (
    *("torch", "torchaudio", "s3prl", "mir_eval", "metricon", "scikit-learn", "diffusers"),
    *("pandas", "scipy", "numpy"),
)
"""Packages that scores may depend on."""

Row = tuple[str, str, str, float]
"""Item, group, measure and value; the value is finite."""


@dataclass(frozen=True)
class Run:
    """The fields that all rows of a run share."""

    task: str
    data: str
    """Path or description of the data set."""
    upstream: str
    """Name in tables; for a reference run its description: the true dances, chance."""
    checkpoint: str = ""
    """SHA-256 of the upstream's weights; empty if it has none."""
    seed: int = 0
    fold: str = ""
    """The test fold; empty without folds."""
    split: str = "test"
    step: int | None = None
    """Training step of the evaluated weights; None if unknown."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Settings, options, thresholds, versions."""

    def title(self, description: str = "") -> str:
        """The heading of a report; ``description`` follows the upstream's name."""
        step = "" if self.step is None else f", step {self.step}"
        return f"## {self.task}, {self.split}: {self.upstream}{description}{step}"


RUN_TYPES = {
    **dict.fromkeys(("task", "data", "upstream", "checkpoint", "fold", "split"), str),
    **dict.fromkeys(("seed", "rows"), int),
    "step": int | None,
    "details": dict,
}
"""Types of the fields in a file; ``rows`` is the number of rows of the run."""


@dataclass(frozen=True)
class Results:
    """A run with its rows."""

    run: Run
    rows: Sequence[Row]


def item_rows(item: str, group: str, measures: Mapping[str, float]) -> list[Row]:
    """Rows of an item; measures that are NaN are left out."""
    return [(item, group, name, float(value)) for name, value in measures.items() if not math.isnan(value)]


def long_form(results: Iterable[Results]) -> pd.DataFrame:
    """Rows of several runs as a table with the columns :data:`COLUMNS`, in the given order."""
    import pandas as pd

    rows = []
    for result in results:
        shared = [getattr(result.run, column) for column in RUN_COLUMNS]
        rows += [(*shared, *row) for row in result.rows]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def item_table(results: Results) -> pd.DataFrame:
    """Values of a run as a table with a row for each (item, group) and a column for each measure, in order.

    Values of the whole run are left out. Unknown values are NaN.
    """
    import pandas as pd

    rows = pd.DataFrame(results.rows, columns=list(ROW_COLUMNS))
    rows = rows[rows["item"] != ""]
    table = rows.pivot(index=["item", "group"], columns="measure", values="value")
    return table.reindex(pd.MultiIndex.from_frame(rows[["item", "group"]].drop_duplicates()))[
        rows["measure"].unique()
    ]


def run_value(results: Results, measure: str) -> float:
    """A value of the whole run; NaN if there is none."""
    return next((value for item, _, name, value in results.rows if not item and name == measure), math.nan)


def results_path(folder: Path, split: str = "test") -> Path:
    """Path of the results of a split in the folder of a run."""
    return folder / f"scores-{split}.jsonl"


def write_results(path: Path, results: Sequence[Results]) -> None:
    """Write results atomically.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    lines = []
    for result in results:
        shared = {"format": FORMAT, "version": VERSION, "rows": len(result.rows), **asdict(result.run)}
        lines.append(json.dumps(shared, ensure_ascii=False, default=str))
        lines += [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in result.rows]
    write_text(path, "\n".join(lines) + "\n")


def read_results(path: Path) -> list[Results]:
    """Read a file of :func:`write_results`.

    Raises:
        DataError: the file does not exist, has another format or version, is incomplete, or contains a line
            that is neither a run nor a row. The message has the number of the line.
    """
    if not path.is_file():
        earlier = path.with_suffix(".json")
        if earlier.is_file():
            raise DataError(f"{earlier}: was written by an earlier version; repeat the run with --overwrite")
        raise DataError(f"{path}: no such file; expected the results of a run")
    runs: list[tuple[Run, int, list[Row]]] = []
    with path.open(encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, 1):
                where = f"{path}, line {number}"
                try:
                    content = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{where}: is not JSON; expected results of format {FORMAT}") from error
                if isinstance(content, dict):
                    runs.append((*_read_run(content, where), []))
                elif runs:
                    runs[-1][2].append(_read_row(content, where))
                else:
                    raise DataError(f"{where}: expected a run of format {FORMAT} before any row")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not UTF-8 text; expected results of format {FORMAT}") from error
    if not runs:
        raise DataError(f"{path}: is empty; expected results of format {FORMAT}")
    for run, count, rows in runs:
        if len(rows) != count:
            raise DataError(
                f"{path}: {run.task}, {run.upstream}: {len(rows)} rows, expected {count}; the file is "
                f"incomplete, repeat the run with --overwrite"
            )
    return [Results(run, rows) for run, _, rows in runs]


def write_report(folder: Path, results: Sequence[Results], text: str) -> None:
    """Write the results of a run and their report, which is markdown, to a folder."""
    path = results_path(folder, results[0].run.split)
    write_text(path.with_suffix(".md"), text)
    write_results(path, results)  # last, because existing results mark a run as evaluated


def command_and_versions() -> dict[str, object]:
    """The command of this process and the versions of MotionBeat and of :data:`PACKAGES`."""
    return {"command": sys.argv, "versions": {"motionbeat": __version__, **installed_versions(PACKAGES)}}


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those of the packages that are installed."""
    versions = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _read_row(content: Any, where: str) -> Row:
    match content:
        case [str(item), str(group), str(measure), int() | float() as value] if not isinstance(value, bool):
            if abs(value) <= sys.float_info.max:  # False for NaN and for integers beyond the range of float
                return item, group, measure, float(value)
    text = repr(content)
    if len(text) > MAX_SHOWN_CHARACTERS:
        text = f"{text[:MAX_SHOWN_CHARACTERS]} …"
    raise DataError(f"{where}: {text}: expected [item, group, measure, value], the value a finite number")


def _read_run(content: Mapping[str, Any], where: str) -> tuple[Run, int]:
    """A run and the number of its rows."""
    if content.get("format") != FORMAT:
        raise DataError(f"{where}: the format is {content.get('format')!r}; expected {FORMAT}")
    if content.get("version") != VERSION:
        raise DataError(
            f"{where}: version {content.get('version')!r} of the format; this program reads version "
            f"{VERSION}; repeat the run with --overwrite, or update this program"
        )
    for name, kind in RUN_TYPES.items():
        value = content.get(name)
        if name not in content or not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{where}: {name} is {value!r}; expected a value of type {kind}")
    return Run(**{each.name: content[each.name] for each in fields(Run)}), content["rows"]

"""The rows that every task and benchmark writes, and the file that they are kept in.

A file is JSON Lines (UTF-8). A line with an object starts a run and tells what the run's rows share, the
format and its version among it; each line with an array after it is a row ``[item, group, measure, value]``
of that run. A file is written whole or not at all. After the run of the upstream it may hold reference runs:
the true dances, chance, what is reached without learning.

What is not known of an item has no row. Values that belong to the whole run, such as a median rank, have an
empty item and group.
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
"""Raised whenever files of an earlier version can no longer be read."""

RUN_COLUMNS = ("task", "data", "upstream", "checkpoint", "seed", "fold")
ROW_COLUMNS = ("item", "group", "measure", "value")
COLUMNS = (*RUN_COLUMNS, *ROW_COLUMNS)
"""Columns of the long form."""

LONGEST_SHOWN = 60
"""Characters of a faulty row that a message shows."""

PACKAGES = (
    *("torch", "torchaudio", "s3prl", "mir_eval", "metricon", "scikit-learn", "diffusers"),
    *("pandas", "scipy", "numpy"),
)
"""Packages that figures may depend on."""

Row = tuple[str, str, str, float]
"""Item, group, measure and value; the value is finite."""


@dataclass(frozen=True)
class Run:
    """What the rows of a run share."""

    task: str
    data: str
    """The data set: its path, or what it is."""
    upstream: str
    """What tables call it; of a reference run what that is: the true dances, chance."""
    checkpoint: str = ""
    """SHA-256 of the upstream's weights; empty where it has none."""
    seed: int = 0
    fold: str = ""
    """The fold that was tested on; empty where there are no folds."""
    split: str = "test"
    step: int | None = None
    """Training step of the evaluated weights; None where it is not known."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be known: settings, options, thresholds, versions."""

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
"""Types of the fields in a file; ``rows`` is how many rows the run has."""


@dataclass(frozen=True)
class Results:
    """A run with its rows."""

    run: Run
    rows: Sequence[Row]


def item_rows(item: str, group: str, measures: Mapping[str, float]) -> list[Row]:
    """The rows of an item; measures that are NaN are left out."""
    return [(item, group, name, float(value)) for name, value in measures.items() if not math.isnan(value)]


def long_form(results: Iterable[Results]) -> pd.DataFrame:
    """The rows of several runs with the columns :data:`COLUMNS`, in the given order."""
    import pandas as pd

    return pd.DataFrame(
        [
            (*(getattr(one.run, column) for column in RUN_COLUMNS), *row)
            for one in results
            for row in one.rows
        ],
        columns=list(COLUMNS),
    )


def by_item(results: Results) -> pd.DataFrame:
    """A run's values as a table, a row for each (item, group) and a column for each measure, in their order.

    Values of the whole run are left out; NaN stands for what is not known.
    """
    import pandas as pd

    rows = pd.DataFrame(results.rows, columns=list(ROW_COLUMNS))
    rows = rows[rows["item"] != ""]
    table = rows.pivot(index=["item", "group"], columns="measure", values="value")
    return table.reindex(pd.MultiIndex.from_frame(rows[["item", "group"]].drop_duplicates()))[
        rows["measure"].unique()
    ]


def of_run(results: Results, measure: str) -> float:
    """A value of the whole run; NaN where it has none."""
    return next((value for item, _, name, value in results.rows if not item and name == measure), math.nan)


def results_file(folder: Path, split: str = "test") -> Path:
    """Where the results of a split are kept in the folder of a run."""
    return folder / f"scores-{split}.jsonl"


def write_results(path: Path, results: Sequence[Results]) -> None:
    """Write results, whole or not at all.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    lines = []
    for one in results:
        shared = {"format": FORMAT, "version": VERSION, "rows": len(one.rows), **asdict(one.run)}
        lines.append(json.dumps(shared, ensure_ascii=False, default=str))
        lines += [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in one.rows]
    write_text(path, "\n".join(lines) + "\n")


def read_results(path: Path) -> list[Results]:
    """Read what :func:`write_results` wrote.

    Raises:
        DataError: there is no such file, or it is of another format or version, not whole, or has a line
            that is neither a run nor a row; with the line's number.
    """
    if not path.is_file():
        earlier = path.with_suffix(".json")
        if earlier.is_file():
            raise DataError(f"{earlier}: was written by an earlier version; repeat the run with --overwrite")
        raise DataError(f"{path}: no such file; expected the results of a run")
    found: list[tuple[Run, int, list[Row]]] = []
    with path.open(encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, 1):
                where = f"{path}, line {number}"
                try:
                    content = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{where}: is not JSON; expected results of format {FORMAT}") from error
                if isinstance(content, dict):
                    found.append((*_read_run(content, where), []))
                elif found:
                    found[-1][2].append(_read_row(content, where))
                else:
                    raise DataError(f"{where}: expected a run of format {FORMAT} before any row")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not UTF-8 text; expected results of format {FORMAT}") from error
    if not found:
        raise DataError(f"{path}: is empty; expected results of format {FORMAT}")
    for run, count, rows in found:
        if len(rows) != count:
            raise DataError(
                f"{path}: {run.task}, {run.upstream}: {len(rows)} rows, expected {count}; it is not whole"
            )
    return [Results(run, rows) for run, _, rows in found]


def write_report(folder: Path, results: Sequence[Results], text: str) -> None:
    """Write the results of a run, and the report that was made of them as markdown in the same folder."""
    path = results_file(folder, results[0].run.split)
    write_text(path.with_suffix(".md"), text)
    write_results(path, results)  # last: results that are there say that the run was evaluated


def origin() -> dict[str, object]:
    """The command of this process, and the versions of MotionBeat and of :data:`PACKAGES`."""
    return {"command": sys.argv, "versions": {"motionbeat": __version__, **installed_versions(PACKAGES)}}


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _read_row(content: Any, where: str) -> Row:
    match content:
        case [str(item), str(group), str(measure), int() | float() as value] if not isinstance(value, bool):
            if abs(value) <= sys.float_info.max:  # also False for NaN, and for integers beyond float
                return item, group, measure, float(value)
    found = repr(content)
    shown = found if len(found) <= LONGEST_SHOWN else f"{found[:LONGEST_SHOWN]} …"
    raise DataError(f"{where}: {shown}: expected [item, group, measure, value], the value a finite number")


def _read_run(content: Mapping[str, Any], where: str) -> tuple[Run, int]:
    """The run, and how many rows it has."""
    if content.get("format") != FORMAT:
        raise DataError(f"{where}: the format is {content.get('format')!r}; expected {FORMAT}")
    if content.get("version") != VERSION:
        raise DataError(
            f"{where}: version {content.get('version')!r} of the format; this program reads version "
            f"{VERSION}: repeat the run with --overwrite, or update this program"
        )
    for name, kind in RUN_TYPES.items():
        value = content.get(name)
        if name not in content or not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(f"{where}: {name} is {value!r}; expected a value of type {kind}")
    return Run(**{one.name: content[one.name] for one in fields(Run)}), content["rows"]

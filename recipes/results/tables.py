"""Tables of upstreams and measures with intervals, computed from rows; as markdown and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from motionbeat_upstream.atomic_write import atomic_path
from recipes.results.estimates import RESAMPLES, Estimate, mean_estimate
from recipes.results.record import Results, item_table

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 3
"""Panels side by side in the plot."""

LEGEND_LINE_HEIGHT = 0.6
"""Height of a line of the legend, in rows."""

LINE_STYLES = (":", "--", "-.", "-")
"""Line styles of references, in order."""


@dataclass(frozen=True)
class ResultTable:
    """Scores of upstreams on one data set."""

    title: str
    measures: tuple[str, ...]
    """Headings of the columns; the plot shows the first."""
    rows: Mapping[str, Sequence[Estimate]]
    """An estimate for each measure, by upstream."""
    margins: Mapping[str, Sequence[Estimate]] = field(default_factory=dict)
    """Paired differences, by ``first − second``."""
    references: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Scores of baselines, such as chance; NaN if there is none."""
    notes: str = ""
    row_heading: str = "upstream"

    def lines(self) -> list[str]:
        """Lines of the table as markdown."""
        rows = [[label, *(estimate.text() for estimate in row)] for label, row in self.rows.items()]
        rows += [
            [label, *(Estimate(value).text() for value in row)] for label, row in self.references.items()
        ]
        rows += [[label, *(estimate.text("+") for estimate in row)] for label, row in self.margins.items()]
        lines = markdown_table([self.row_heading, *self.measures], rows)
        return [*lines, "", self.notes] if self.notes else lines


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a markdown table; ``heading`` and each row have a cell for each column."""

    def line(cells: Sequence[str]) -> str:
        return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"

    return [line(heading), "|---" * len(heading) + "|", *map(line, rows)]


def mean_table(
    title: str,
    rows: pd.DataFrame,
    columns: Mapping[str, str],
    notes: str,
    *,
    differences: Sequence[tuple[str, str]] | None = None,
    references: Sequence[str] = (),
    resamples: int = RESAMPLES,
    row_heading: str = "upstream",
) -> ResultTable:
    """A table of means over groups.

    Args:
        title: title of the table.
        rows: rows of several upstreams on the same data, see :data:`~recipes.results.record.COLUMNS`.
        columns: measures to show, each with its heading.
        notes: text below the table.
        differences: pairs of names in ``rows``; None for the first upstream and each of the others.
        references: names in ``rows`` that are shown as references.
        resamples: number of resamples.
        row_heading: heading of the first column.
    """
    values = group_values(rows, list(columns))
    upstreams = [name for name in values if name not in references]
    if differences is None:
        differences = [(upstreams[0], other) for other in upstreams[1:]]

    def estimates(table: pd.DataFrame) -> list[Estimate]:
        return [mean_estimate(table[measure].to_numpy(), resamples=resamples) for measure in table]

    return ResultTable(
        title,
        tuple(columns.values()),
        {name: estimates(values[name]) for name in upstreams},
        {f"{first} − {second}": estimates(values[first] - values[second]) for first, second in differences},
        {name: values[name].mean().tolist() for name in references},
        notes,
        row_heading,
    )


def group_values(rows: pd.DataFrame, measures: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The mean of each group over its items, seeds and folds.

    Returns:
        A table for each upstream, in the order of the rows: a row for each group, sorted, and a column for
        each measure; unknown values are NaN. All tables have the same groups, so they can be subtracted.
    """
    item_rows = rows[rows["measure"].isin(measures) & (rows["item"] != "")]
    means = item_rows.pivot_table("value", "group", ["upstream", "measure"], "mean")
    upstreams = rows["upstream"].unique()
    means = means.reindex(columns=[(name, measure) for name in upstreams for measure in measures])
    return {name: means[name] for name in upstreams}


def run_estimates(
    results: Results, measures: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """The mean of each measure over the groups of one run; measures without values are left out."""
    table = item_table(results)
    # Numbers in order of appearance: the resamples do not depend on the names of the groups.
    groups = table.index.get_level_values("group").factorize()[0]
    return {
        measure: mean_estimate(table[measure].to_numpy(), groups, resamples, seed)
        for measure in measures
        if measure in table
    }


def draw_tables(path: Path, tables: Sequence[ResultTable]) -> None:
    """Plot the first measure of every table in a panel: points with intervals, and lines for references."""
    from matplotlib.figure import Figure

    columns = min(MAX_COLUMNS, len(tables))
    rows = -(-len(tables) // columns)
    tallest = max(len(table.rows) + LEGEND_LINE_HEIGHT * len(_reference_lines(table)) for table in tables)
    figure = Figure(figsize=(4.4 * columns, rows * (1.3 + 0.34 * tallest)), layout="constrained")
    for number, table in enumerate(tables, 1):
        axes = figure.add_subplot(rows, columns, number)
        heights = np.arange(len(table.rows))[::-1]
        for height, (estimate, *_) in zip(heights, table.rows.values(), strict=True):
            interval = [estimate.low, estimate.high]
            axes.plot(interval, [height, height], color="tab:blue", linewidth=2, alpha=0.5)
            axes.plot(estimate.value, height, "o", color="tab:blue")
        # The legend has room above the first row.
        lines = _reference_lines(table)
        for style, (label, value) in zip(cycle(LINE_STYLES), lines.items()):
            axes.axvline(value, color="grey", linewidth=1, linestyle=style, label=label)
        if lines:
            axes.legend(fontsize=7, loc="upper left", frameon=False, borderaxespad=0.0, labelspacing=0.2)
        axes.margins(x=0.08)
        axes.set_yticks(heights, list(table.rows), fontsize=8)
        axes.set_ylim(-0.6, len(heights) - 0.6 + LEGEND_LINE_HEIGHT * len(lines))
        axes.set_xlabel(table.measures[0], fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.set_title(table.title, fontsize=8)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as draft:
        figure.savefig(draft, format="png", dpi=120)


def _reference_lines(table: ResultTable) -> dict[str, float]:
    """References with a value of the first measure."""
    return {label: row[0] for label, row in table.references.items() if not np.isnan(row[0])}

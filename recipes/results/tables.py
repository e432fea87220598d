"""Tables of upstreams and measures with intervals: computed from rows, as markdown and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from motionbeat_upstream.atomic_write import atomic_path
from recipes.results.estimates import RESAMPLES, Estimate, mean_estimate
from recipes.results.record import Results, by_item

if TYPE_CHECKING:
    import pandas as pd

PANELS_ACROSS = 3
"""Panels side by side in the plot."""

LEGEND_LINE = 0.6
"""Rows that a line of the legend takes."""

LINE_STYLES = (":", "--", "-.", "-")
"""Line styles of references, in their order."""


@dataclass(frozen=True)
class ResultTable:
    """What the upstreams reach on one data set."""

    title: str
    measures: tuple[str, ...]
    """Headings of the columns; the plot shows the first."""
    rows: Mapping[str, Sequence[Estimate]]
    """An estimate for each measure, by upstream."""
    margins: Mapping[str, Sequence[Estimate]] = field(default_factory=dict)
    """Paired differences, by ``one − other``."""
    references: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What is reached without listening, and the like; NaN where there is none."""
    notes: str = ""
    row_heading: str = "upstream"

    def lines(self) -> list[str]:
        """The table as markdown, a line for each row."""
        rows = {label: [one.text() for one in row] for label, row in self.rows.items()}
        rows |= {label: [Estimate(value).text() for value in row] for label, row in self.references.items()}
        rows |= {label: [one.text("+") for one in row] for label, row in self.margins.items()}
        lines = markdown_table(
            [self.row_heading, *self.measures], ([label, *cells] for label, cells in rows.items())
        )
        return [*lines, "", self.notes] if self.notes else lines


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a markdown table; ``heading`` and each row have a cell for each column."""
    return [_line(heading), "|---" * len(heading) + "|", *(_line(row) for row in rows)]


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
        title: of the table.
        rows: long form, see :data:`~recipes.results.record.COLUMNS`: several upstreams on the same data.
        columns: the measures that are shown, each with its heading.
        notes: below the table.
        differences: pairs of names in ``rows``; None for the first upstream and each of the others.
        references: names in ``rows`` that are shown as references.
        resamples: number of resamples.
        row_heading: of the first column.
    """
    values = group_values(rows, list(columns))
    upstreams = [name for name in values if name not in references]
    if differences is None:
        differences = [(upstreams[0], other) for other in upstreams[1:]]

    def estimates(of: pd.DataFrame) -> list[Estimate]:
        return [mean_estimate(of[measure].to_numpy(), resamples=resamples) for measure in of]

    return ResultTable(
        title,
        tuple(columns.values()),
        {name: estimates(values[name]) for name in upstreams},
        {f"{one} − {other}": estimates(values[one] - values[other]) for one, other in differences},
        {name: values[name].mean().tolist() for name in references},
        notes,
        row_heading,
    )


def group_values(rows: pd.DataFrame, measures: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The mean of each group over its items, seeds and folds.

    Returns:
        For each upstream, in the order of the rows: a line for each group, sorted, and a column for each
        measure; NaN where nothing is known. All have the same groups, so that they can be subtracted.
    """
    chosen = rows[rows["measure"].isin(measures) & (rows["item"] != "")]
    means = chosen.pivot_table("value", "group", ["upstream", "measure"], "mean")
    wanted = [(name, measure) for name in rows["upstream"].unique() for measure in measures]
    means = means.reindex(columns=wanted)
    return {name: means[name] for name in dict.fromkeys(name for name, _ in wanted)}


def run_estimates(
    results: Results, measures: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """The mean of each measure over the groups of one run; measures that no item has are left out."""
    table = by_item(results)
    # Numbered as they come: the resamples then do not depend on how groups are called.
    groups = table.index.get_level_values("group").factorize()[0]
    return {
        measure: mean_estimate(table[measure].to_numpy(), groups, resamples, seed)
        for measure in measures
        if measure in table
    }


def draw_tables(path: Path, tables: Sequence[ResultTable]) -> None:
    """Every table's first measure, a panel each: points with intervals, a line at every reference."""
    from matplotlib.figure import Figure

    across = min(PANELS_ACROSS, len(tables))
    down = -(-len(tables) // across)
    tallest = max(len(table.rows) + LEGEND_LINE * len(_reference_lines(table)) for table in tables)
    figure = Figure(figsize=(4.4 * across, down * (1.3 + 0.34 * tallest)), layout="constrained")
    for number, table in enumerate(tables):
        axes = figure.add_subplot(down, across, number + 1)
        heights = np.arange(len(table.rows))[::-1]
        first = [row[0] for row in table.rows.values()]
        for height, one in zip(heights, first, strict=True):
            axes.plot([one.low, one.high], [height, height], color="tab:blue", linewidth=2, alpha=0.5)
            axes.plot(one.value, height, "o", color="tab:blue")
        # Above the first row there is room for a legend that hides nothing.
        lines = _reference_lines(table)
        for style, (label, value) in zip(cycle(LINE_STYLES), lines.items()):
            axes.axvline(value, color="grey", linewidth=1, linestyle=style, label=label)
        if lines:
            axes.legend(fontsize=7, loc="upper left", frameon=False, borderaxespad=0.0, labelspacing=0.2)
        axes.margins(x=0.08)
        axes.set_yticks(heights, list(table.rows), fontsize=8)
        axes.set_ylim(-0.6, len(heights) - 0.6 + LEGEND_LINE * len(lines))
        axes.set_xlabel(table.measures[0], fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.set_title(table.title, fontsize=8)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as draft:
        figure.savefig(draft, format="png", dpi=120)


def _reference_lines(table: ResultTable) -> dict[str, float]:
    """The references that the first measure has."""
    return {label: of[0] for label, of in table.references.items() if not np.isnan(of[0])}


def _line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"

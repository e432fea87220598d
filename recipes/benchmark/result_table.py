"""A table of upstreams and measures with intervals, as markdown and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np

from motionbeat_upstream.atomic_write import atomic_path
from recipes.statistics.estimate import Estimate

COLUMNS = 3
"""Panels side by side in the picture."""

LEGEND_LINE = 0.6
"""Rows that a line of the legend takes."""

LINE_STYLES = (":", "--", "-.", "-")
"""Of references, in their order."""


@dataclass(frozen=True)
class ResultTable:
    """What the upstreams reach on one data set."""

    title: str
    measures: tuple[str, ...]
    """The first is what the picture shows."""
    rows: Mapping[str, Sequence[Estimate]]
    """Of each upstream, an estimate a measure."""
    margins: Mapping[str, Sequence[Estimate]] = field(default_factory=dict)
    """Paired differences, named ``first − other``."""
    references: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What is reached without listening, and the like; NaN where there is nothing to say."""
    notes: str = ""
    row_heading: str = "upstream"
    """What the rows are."""

    def lines(self) -> list[str]:
        """As markdown, a line a row."""
        lines = [
            f"| {self.row_heading} | {' | '.join(self.measures)} |",
            "|---" * (len(self.measures) + 1) + "|",
        ]
        lines += [_row(label, [one.text() for one in row]) for label, row in self.rows.items()]
        lines += [
            _row(label, [Estimate(value).text() for value in row]) for label, row in self.references.items()
        ]
        lines += [_row(label, [one.text("+") for one in row]) for label, row in self.margins.items()]
        return [*lines, "", self.notes] if self.notes else lines


def draw_tables(path: Path, tables: Sequence[ResultTable]) -> None:
    """Every table's first measure, a panel each: points with intervals, a line at every reference."""
    from matplotlib.figure import Figure as Picture

    across = min(COLUMNS, len(tables))
    down = -(-len(tables) // across)
    tallest = max(len(table.rows) + LEGEND_LINE * len(_lines_of(table)) for table in tables)
    picture = Picture(figsize=(4.4 * across, down * (1.3 + 0.34 * tallest)), layout="constrained")
    for number, table in enumerate(tables):
        axes = picture.add_subplot(down, across, number + 1)
        places = np.arange(len(table.rows))[::-1]
        first = [row[0] for row in table.rows.values()]
        for place, one in zip(places, first, strict=True):
            axes.plot([one.low, one.high], [place, place], color="tab:blue", linewidth=2, alpha=0.5)
            axes.plot(one.value, place, "o", color="tab:blue")
        # Above the first row there is room for a legend that hides nothing.
        lines = _lines_of(table)
        for style, (label, value) in zip(cycle(LINE_STYLES), lines.items()):
            axes.axvline(value, color="grey", linewidth=1, linestyle=style, label=label)
        if lines:
            axes.legend(fontsize=7, loc="upper left", frameon=False, borderaxespad=0.0, labelspacing=0.2)
        axes.margins(x=0.08)
        axes.set_yticks(places, list(table.rows), fontsize=8)
        axes.set_ylim(-0.6, len(places) - 0.6 + LEGEND_LINE * len(lines))
        axes.set_xlabel(table.measures[0], fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.set_title(table.title, fontsize=8)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as draft:
        picture.savefig(draft, format="png", dpi=120)


def _lines_of(table: ResultTable) -> dict[str, float]:
    """The references that the first measure has."""
    return {label: of[0] for label, of in table.references.items() if not np.isnan(of[0])}


def _row(label: str, cells: Sequence[str]) -> str:
    return f"| {label} | {' | '.join(cells)} |"

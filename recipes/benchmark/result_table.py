"""A table of upstreams and measures with intervals, as markdown and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Picture

from motionbeat_upstream.atomic_write import atomic_path
from recipes.statistics.estimate import Estimate

COLUMNS = 3
"""Panels side by side in the picture."""


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

    def lines(self) -> list[str]:
        """As markdown, a line a row."""
        lines = [f"| upstream | {' | '.join(self.measures)} |", "|---" * (len(self.measures) + 1) + "|"]
        lines += [_row(label, [one.text() for one in row]) for label, row in self.rows.items()]
        lines += [
            _row(label, [Estimate(value).text() for value in row]) for label, row in self.references.items()
        ]
        lines += [_row(label, [one.text("+") for one in row]) for label, row in self.margins.items()]
        return [*lines, "", self.notes] if self.notes else lines


def draw_tables(path: Path, tables: Sequence[ResultTable]) -> None:
    """Every table's first measure, a panel each: points with intervals, a line where nobody listens."""
    across = min(COLUMNS, len(tables))
    down = -(-len(tables) // across)
    tallest = max(len(table.rows) for table in tables)
    picture = Picture(figsize=(4.4 * across, down * (1.3 + 0.34 * tallest)), layout="constrained")
    for number, table in enumerate(tables):
        axes = picture.add_subplot(down, across, number + 1)
        places = np.arange(len(table.rows))[::-1]
        first = [row[0] for row in table.rows.values()]
        for place, one in zip(places, first, strict=True):
            axes.plot([one.low, one.high], [place, place], color="tab:blue", linewidth=2, alpha=0.5)
            axes.plot(one.value, place, "o", color="tab:blue")
        # Above the first row there is room for a legend that hides nothing.
        room = 0.4
        for label, values in list(table.references.items())[:1]:
            axes.axvline(values[0], color="grey", linewidth=1, linestyle=":", label=label)
            axes.legend(fontsize=7, loc="upper left", frameon=False, borderaxespad=0.0)
            room = 1.0
        axes.set_yticks(places, list(table.rows), fontsize=8)
        axes.set_ylim(-0.6, len(places) - 1 + room)
        axes.set_xlabel(table.measures[0], fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.set_title(table.title, fontsize=8)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as draft:
        picture.savefig(draft, format="png", dpi=120)


def _row(label: str, cells: Sequence[str]) -> str:
    return f"| {label} | {' | '.join(cells)} |"

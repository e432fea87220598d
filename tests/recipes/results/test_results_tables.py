"""Tables: means over items, seeds and groups, paired differences, markdown and the plot."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from recipes.results.estimates import Estimate, mean_estimate
from recipes.results.record import Results, Row, Run, long_form
from recipes.results.tables import (
    ResultTable,
    draw_tables,
    group_values,
    markdown_table,
    mean_table,
    run_estimates,
)

PIECES = {"p1": ["a"], "p0": ["b", "c"], "p2": ["d"]}
"""Items of each group."""


def runs(upstream: str, offset: float) -> list[Results]:
    """Two seeds; the value of an item is its index in the alphabet plus the seed and ``offset``."""
    return [
        Results(
            Run("task", "data", upstream, seed=seed),
            [
                (item, piece, "F", ord(item) - ord("a") + seed + offset)
                for piece, items in PIECES.items()
                for item in items
            ],
        )
        for seed in (0, 1)
    ]


def test_groups_have_the_same_weight_and_seeds_are_averaged() -> None:
    rows = long_form([*runs("first", 0.0), *runs("second", 0.5)])
    values = group_values(rows, ["F", "unknown"])
    assert list(values) == ["first", "second"]
    assert values["first"]["F"].to_dict() == {"p0": 2.0, "p1": 0.5, "p2": 3.5}
    table = mean_table("title", rows, {"F": "F ↑", "unknown": "?"}, "notes")
    assert (table.title, table.measures, table.notes) == ("title", ("F ↑", "?"), "notes")
    estimate, unknown = table.rows["first"]
    assert estimate == mean_estimate([2.0, 0.5, 3.5])
    assert unknown.text() == "–"


def test_differences_are_paired() -> None:
    rows = long_form([*runs("first", 0.0), *runs("second", 0.5), *runs("third", 1.0)])
    table = mean_table("", rows, {"F": "F"}, "")
    assert list(table.margins) == ["first − second", "first − third"]
    assert table.margins["first − second"] == [Estimate(-0.5, -0.5, -0.5, 3)]
    # Groups that an upstream lacks are left out.
    partial = rows[(rows["group"] != "p0") | (rows["upstream"] != "first")]
    assert mean_table("", partial, {"F": "F"}, "").margins["first − second"][0].groups == 2


def test_references_are_separate_from_upstreams() -> None:
    rows = long_form([*runs("first", 0.0), *runs("second", 0.5), *runs("chance", -1.0)])
    pairs = [("second", "first"), ("first", "chance")]
    table = mean_table("", rows, {"F": "F"}, "", differences=pairs, references=["chance"])
    assert list(table.rows) == ["first", "second"]
    assert table.references == {"chance": [1.0]}
    assert {name: row[0].value for name, row in table.margins.items()} == {
        "second − first": 0.5,
        "first − chance": 1.0,
    }


def test_estimates_of_a_run_are_over_its_groups_in_order_of_appearance() -> None:
    rng = np.random.default_rng(0)
    rows: list[Row] = [
        (f"i{number}", group, measure, rng.random())
        for number, group in enumerate("zzyxwzv")
        for measure in ("F", "G")
        if number or measure == "F"
    ]
    estimates = run_estimates(Results(Run("t", "d", "u"), rows), ["F", "G", "H"], 100, 4)
    assert list(estimates) == ["F", "G"]
    for measure, estimate in estimates.items():
        values = [value for _, _, name, value in rows if name == measure]
        groups = ["zyxwv".index(group) for _, group, name, _ in rows if name == measure]
        assert estimate == mean_estimate(values, groups, 100, 4)


def test_a_table_has_upstreams_references_and_margins() -> None:
    table = ResultTable(
        "genre",
        ("F", "G"),
        {"one": [Estimate(0.5, 0.4, 0.6), Estimate(float("nan"))], "other": [Estimate(0.25), Estimate(1.0)]},
        {"one − other": [Estimate(0.25, -0.1, 0.4), Estimate(float("nan"))]},
        {"chance": [0.1, float("nan")]},
        "notes",
    )
    assert table.lines() == [
        "| upstream | F | G |",
        "|---|---|---|",
        "| one | 0.500 [0.400, 0.600] | – |",
        "| other | 0.250 | 1.000 |",
        "| chance | 0.100 | – |",
        "| one − other | +0.250 [-0.100, +0.400] | – |",
        "",
        "notes",
    ]
    assert markdown_table(["", "F"], [["a", ""]]) == ["| | F |", "|---|---|", "| a | |"]


@pytest.mark.parametrize("count", [1, 4])
def test_every_table_is_a_panel(count: int, tmp_path: Path) -> None:
    table = ResultTable("t", ("F",), {"one": [Estimate(0.5, 0.4, 0.6)]}, references={"chance": [0.1]})
    draw_tables(tmp_path / "table.png", [table] * count)
    assert matplotlib.image.imread(tmp_path / "table.png").std() > 0

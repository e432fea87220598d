"""Tables: means by group, seed and item, paired differences, markdown and the plot."""

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


def runs(upstream: str, better: float) -> list[Results]:
    """Two seeds; an item's value is its place in the alphabet, with seed 1 and as much as ``better`` more."""
    return [
        Results(
            Run("task", "data", upstream, seed=seed),
            [
                (item, piece, "F", ord(item) - ord("a") + seed + better)
                for piece, items in PIECES.items()
                for item in items
            ],
        )
        for seed in (0, 1)
    ]


def test_groups_count_the_same_and_seeds_are_averaged() -> None:
    rows = long_form([*runs("one", 0.0), *runs("other", 0.5)])
    values = group_values(rows, ["F", "unknown"])
    assert list(values) == ["one", "other"]
    assert values["one"]["F"].to_dict() == {"p0": 2.0, "p1": 0.5, "p2": 3.5}
    table = mean_table("title", rows, {"F": "F ↑", "unknown": "?"}, "notes")
    assert (table.title, table.measures, table.notes) == ("title", ("F ↑", "?"), "notes")
    estimate, unknown = table.rows["one"]
    assert estimate == mean_estimate([2.0, 0.5, 3.5])
    assert unknown.text() == "–"


def test_differences_are_paired() -> None:
    rows = long_form([*runs("one", 0.0), *runs("other", 0.5), *runs("third", 1.0)])
    table = mean_table("", rows, {"F": "F"}, "")
    assert list(table.margins) == ["one − other", "one − third"]
    assert table.margins["one − other"] == [Estimate(-0.5, -0.5, -0.5, 3)]
    # Groups that one of them lacks are left out.
    partial = rows[(rows["group"] != "p0") | (rows["upstream"] != "one")]
    assert mean_table("", partial, {"F": "F"}, "").margins["one − other"][0].groups == 2


def test_what_stands_beside_the_upstreams_is_a_reference() -> None:
    rows = long_form([*runs("one", 0.0), *runs("other", 0.5), *runs("chance", -1.0)])
    pairs = [("other", "one"), ("one", "chance")]
    table = mean_table("", rows, {"F": "F"}, "", differences=pairs, references=["chance"])
    assert list(table.rows) == ["one", "other"]
    assert table.references == {"chance": [1.0]}
    assert {name: row[0].value for name, row in table.margins.items()} == {
        "other − one": 0.5,
        "one − chance": 1.0,
    }


def test_the_estimates_of_a_run_are_those_of_its_groups_in_their_order() -> None:
    draw = np.random.default_rng(0)
    rows: list[Row] = [
        (f"i{number}", group, measure, draw.random())
        for number, group in enumerate("zzyxwzv")
        for measure in ("F", "G")
        if number or measure == "F"
    ]
    found = run_estimates(Results(Run("t", "d", "u"), rows), ["F", "G", "H"], 100, 4)
    assert list(found) == ["F", "G"]
    for measure, estimate in found.items():
        known = [(value, group) for _, group, name, value in rows if name == measure]
        order = ["zyxwv".index(group) for _, group in known]
        assert estimate == mean_estimate([value for value, _ in known], order, 100, 4)


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

"""Files of results: reading returns what was written, and errors name the damaged line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion_data.errors import DataError
from recipes.results.record import (
    COLUMNS,
    Results,
    Run,
    item_rows,
    item_table,
    long_form,
    read_results,
    results_path,
    run_value,
    write_report,
    write_results,
)

RUN = Run("genre", "GTZAN", "motionbeat", "ab12", 3, "1", "test", 40, {"settings": {"probe": "linear"}})
ROWS = [("a", "x", "F", 0.5), ("a", "x", "G", 1.0), ("b", "x", "F", 0.25), ("", "", "median rank", 4.0)]

# File names that are not UTF-8 contain lone surrogates.
TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
VALUE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT, VALUE), max_size=5),
    st.integers(0, 2**31),
    st.none() | st.integers(0, 9),
    st.lists(TEXT, min_size=6, max_size=6),
)
def test_reading_returns_the_written_results(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, float]],
    seed: int,
    step: int | None,
    texts: list[str],
) -> None:
    path = tmp_path_factory.mktemp("results") / "r.jsonl"
    task, data, upstream, checkpoint, fold, split = texts
    results = [
        Results(Run(task, data, upstream, checkpoint, seed, fold, split, step), rows),
        Results(RUN, ROWS),
    ]
    write_results(path, results)
    assert read_results(path) == results


def test_the_long_form_has_all_rows(tmp_path: Path) -> None:
    other = Results(Run("genre", "GTZAN", "fbank"), ROWS[:1])
    table = long_form([Results(RUN, ROWS), other])
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 5
    assert table.iloc[2].tolist() == ["genre", "GTZAN", "motionbeat", "ab12", 3, "1", "b", "x", "F", 0.25]
    assert table.iloc[4]["upstream"] == "fbank"


def test_the_item_table_keeps_the_order_and_leaves_out_values_of_the_run() -> None:
    results = Results(RUN, [("b", "x", "G", 1.0), ("b", "x", "F", 2.0), *ROWS[:2], ROWS[3]])
    table = item_table(results)
    assert table.index.tolist() == [("b", "x"), ("a", "x")]
    assert table.columns.tolist() == ["G", "F"]
    assert table.loc["b", "F"].item() == 2.0
    assert run_value(results, "median rank") == 4.0
    assert math.isnan(run_value(results, "F"))


def test_nan_has_no_row() -> None:
    assert item_rows("a", "x", {"F": 1, "G": math.nan}) == [("a", "x", "F", 1.0)]


def test_a_report_is_written_beside_the_results(tmp_path: Path) -> None:
    write_report(tmp_path, [Results(RUN, ROWS)], "# text\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores-test.jsonl", "scores-test.md"]
    assert read_results(results_path(tmp_path)) == [Results(RUN, ROWS)]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(results_path(tmp_path), [Results(RUN, [("a", "b", "F", math.nan)])])
    assert read_results(results_path(tmp_path)) == [Results(RUN, ROWS)]


def changed(**values: object) -> str:
    header = {"format": "motionbeat.results", "version": 1, "rows": 1} | {
        "task": "t", "data": "d", "upstream": "u", "checkpoint": "", "seed": 0, "fold": "",
        "split": "test", "step": None, "details": {},
    }  # fmt: skip
    return json.dumps(header | values)


ROW = '["a", "b", "F", 0.5]'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty; expected results of format motionbeat.results"),
        ([ROW], "line 1: expected a run of format motionbeat.results before any row"),
        ([changed(format="other"), ROW], "line 1: the format is 'other'; expected motionbeat.results"),
        ([changed(version=2), ROW], "line 1: version 2 of the format; this program reads version 1"),
        ([changed(seed="0"), ROW], "line 1: seed is '0'; expected a value of type <class 'int'>"),
        ([changed(step=True), ROW], "line 1: step is True"),
        ([changed(details=[]), ROW], "line 1: details is "),
        ([changed(rows=2), ROW], "t, u: 1 rows, expected 2; the file is incomplete"),
        ([changed(), ROW[:-5]], "line 2: is not JSON"),
        ([changed(), '["a", "b", 0.5]'], "line 2: ['a', 'b', 0.5]: expected [item, group, measure, value]"),
        ([changed(), '["a", "b", "F", true]'], "line 2: ['a', 'b', 'F', True]: expected"),
        ([changed(), '["a", "b", "F", NaN]'], "line 2: ['a', 'b', 'F', nan]: expected"),
        ([changed(), f'["a", "b", "F", {10**400}]'], "…: expected [item, group, measure, value]"),
        ([changed(), "7"], "line 2: 7: expected [item, group, measure, value]"),
        ([changed(), "[" * 100_000], "line 2: is not JSON"),
    ],
)
def test_the_error_of_a_damaged_file_names_the_line(tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "scores-test.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as error:
        read_results(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert len(str(error.value)) < 500


def test_missing_results_and_results_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    path = results_path(tmp_path)
    with pytest.raises(DataError, match="no such file; expected the results of a run"):
        read_results(path)
    (tmp_path / "scores-test.json").write_text("{}")
    with pytest.raises(DataError, match=r"scores-test.json: was written by an earlier version; repeat"):
        read_results(path)
    path.write_bytes(b'{"format": "\xff"}')
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_results(path)

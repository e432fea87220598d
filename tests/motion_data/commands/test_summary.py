"""`motionbeat data summary`: one row per corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from motion_data.commands.data import main
from motion_data.commands.summary import HEADINGS, summary_cells
from tests.made_corpus import Made, write_corpus


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_for_each_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_corpus(tmp_path / "a", [Made("one", seconds=7.0), Made("two", seconds=5.0)])
    second = write_corpus(tmp_path / "b", [Made("three", seconds=9.0)])
    capsys.readouterr()
    assert main(["summary", str(first.folder), str(second.folder), "--timed", "1"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert cells(head) == list(HEADINGS)
    (name, pieces, pairs, hours, *_, speed), other = map(cells, rows)
    assert (name, pieces, pairs) == ("a", "2", "2")
    assert hours == f"{sum(pair.seconds for pair in first.pairs) / 3600:.1f}"
    assert float(speed) > 0
    assert (other[0], other[1], other[-1]) == ("b", "1", "")


def test_no_pairs() -> None:
    assert summary_cells([])[:5] == ["0", "0", "0.0", "0.0", "0.0"]

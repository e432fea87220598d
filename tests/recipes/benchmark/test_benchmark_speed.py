"""The benchmark of speed: what counts, and what is reported; times themselves are not tested."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from recipes.benchmark.speed import __main__ as speed
from recipes.benchmark.speed.__main__ import main, report
from recipes.benchmark.speed.measurement import Measurement, min_times, music


def test_the_fastest_turn_counts_but_the_first_does_not() -> None:
    waits = iter([0.0, 0.05, 0.02, 0.05])
    calls = {"one": lambda: time.sleep(next(waits)), "other": lambda: None}
    result = min_times(calls, 3)
    assert 0.02 <= result["one"] < 0.05
    assert result["other"] < 0.02


def test_music_is_always_the_same_and_as_long_as_asked() -> None:
    assert music(1.5).shape == (24_000,)
    torch.testing.assert_close(music(2.0), music(2.0), rtol=0, atol=0)
    assert music(61.0).shape == (976_000,)


@pytest.mark.parametrize(
    ("figure", "target", "met"),
    [
        (Measurement("a", 2.0, "ms"), "", True),
        (Measurement("a", 2.0, "ms", least=2.0), "≥ 2", True),
        (Measurement("a", 1.9, "ms", least=2.0), "≥ 2", False),
        (Measurement("a", 1.3, "", most=1.3), "≤ 1.3", True),
        (Measurement("a", 1.4, "", most=1.3), "≤ 1.3", False),
    ],
)
def test_targets(figure: Measurement, target: str, met: bool) -> None:
    assert figure.target == target
    assert figure.met == met


def test_the_report_says_which_targets_are_met() -> None:
    figures = [
        Measurement("a", 0.123456, "ms", most=1),
        Measurement("b", 3, "", least=4),
        Measurement("c", 5, "GB"),
    ]
    lines = report(figures, {"processor": "P", "cores": 2, "load": 0.0}, 1).splitlines()
    assert lines[2:5] == ["| a | 0.123 ms | ≤ 1 | yes |", "| b | 3 | ≥ 4 | no |", "| c | 5 GB | | |"]
    assert lines[-1] == "P, 2 cores, load 0.0 before; 1 threads."


def test_files_hold_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "measure", lambda threads, turns: [Measurement("a", 1.0, "s", most=2)])
    assert main([str(tmp_path / "out"), "--threads", "1"]) == 0
    content = json.loads((tmp_path / "out" / "speed.json").read_text())
    assert content["figures"] == [
        {"name": "a", "value": 1.0, "unit": "s", "least": None, "most": 2, "met": True}
    ]
    assert (content["threads"], content["turns"]) == (1, 7)
    assert "| a | 1 s | ≤ 2 | yes |" in (tmp_path / "out" / "table.md").read_text()


def test_counts_below_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path), "--turns", "0"])
    assert end.value.code == 2

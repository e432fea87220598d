"""The table of pretraining runs says what their validations wrote, and nothing that does not compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.benchmark.pretraining_table import main

FIGURES = {
    "probe.trunk.beat_f": 0.7564,
    "probe.trunk.beat_f_low": 0.7,
    "probe.trunk.beat_f_high": 0.8,
    "shared.recall_at_1": 0.59,
    "silence.recall_at_1": 0.034,
    "no_learning.recall_at_1": 0.64,
    "shared.chance_at_1": 0.033,
}


def written(folder: Path, step: int, **changes: float) -> Path:
    (folder / "metrics").mkdir(parents=True)
    records = [{"Step": step - 1, **dict.fromkeys(FIGURES, 0.1)}, {"Step": step, **FIGURES, **changes}]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics/valid.jsonl").write_text(text)
    return folder


def test_a_row_for_each_run_with_intervals_and_without_audio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = written(tmp_path / "whole", 30)
    other = written(tmp_path / "no_sral", 30, **{"shared.recall_at_1": 0.5})
    assert main([str(whole), str(other), "-o", str(tmp_path / "table.md")]) == 0
    text = (tmp_path / "table.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines()}
    assert "| 0.756 [0.700, 0.800] |" in rows["whole"]
    assert "| 0.590; silent 0.034 |" in rows["whole"]
    assert "| 0.500; silent 0.034 |" in rows["no_sral"]
    assert "| 0.640 |" in rows["no learning"]
    assert "| 0.033 |" in rows["chance"]
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_runs_that_do_not_compare_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [written(tmp_path / "short", 10), written(tmp_path / "long", 20)]
    assert main([str(run) for run in runs]) == 2
    assert "short at 10, long at 20" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "contains no validation" in capsys.readouterr().err


def test_figures_of_the_test_split_come_with_what_is_not_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = written(tmp_path / "whole", 30)
    assert main([str(run), "--split", "test"]) == 2
    assert "recipes.pretrain.validate" in capsys.readouterr().err
    figures = {"Step": 20, **FIGURES, "probe.log_mel.beat_f": 0.6, "probe.untrained_trunk.beat_f": 0.55}
    (run / "figures-test.json").write_text(json.dumps(figures))
    assert main([str(run), "--split", "test"]) == 0
    rows = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if line}
    assert "| step 20 |" in rows["step 20"]
    assert "| 0.600 |" in rows["log-mel"]
    assert "| 0.550 |" in rows["untrained"]

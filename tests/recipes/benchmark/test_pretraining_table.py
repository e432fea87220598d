"""The table of pretraining runs shows their validation metrics, and refuses runs at different steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.benchmark.pretraining_table import main

METRICS = {
    "probe.trunk.beat_f": 0.7564,
    "probe.trunk.beat_f_low": 0.7,
    "probe.trunk.beat_f_high": 0.8,
    "shared.recall_at_1": 0.59,
    "silence.recall_at_1": 0.034,
    "no_learning.recall_at_1": 0.64,
    "shared.chance_at_1": 0.033,
}


def write_run(folder: Path, step: int, **changes: float) -> Path:
    (folder / "metrics").mkdir(parents=True)
    records = [{"Step": step - 1, **dict.fromkeys(METRICS, 0.1)}, {"Step": step, **METRICS, **changes}]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics/valid.jsonl").write_text(text)
    return folder


def test_a_row_for_each_run_with_intervals_and_without_audio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete = write_run(tmp_path / "whole", 30)
    other = write_run(tmp_path / "no_sral", 30, **{"shared.recall_at_1": 0.5})
    assert main([str(complete), str(other), "-o", str(tmp_path / "table.md")]) == 0
    text = (tmp_path / "table.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines()}
    assert "| 0.756 [0.700, 0.800] |" in rows["whole"]
    assert "| 0.590; silent 0.034 |" in rows["whole"]
    assert "| 0.500; silent 0.034 |" in rows["no_sral"]
    assert "| 0.640 |" in rows["no learning"]
    assert "| 0.033 |" in rows["chance"]
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_an_incomplete_line_of_a_killed_run_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", 30)
    with (run / "metrics/valid.jsonl").open("a") as file:
        file.write('{"Step": 40, "shared.rec')
    assert main([str(run)]) == 0
    assert "| step 30 |" in capsys.readouterr().out


def test_runs_at_different_steps_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / "short", 10), write_run(tmp_path / "long", 20)]
    assert main([str(run) for run in runs]) == 2
    assert "short at 10, long at 20" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "contains no validation" in capsys.readouterr().err


def test_metrics_of_the_test_split_include_the_untrained_baselines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "whole", 30)
    assert main([str(run), "--split", "test"]) == 2
    assert "recipes.pretrain.validate" in capsys.readouterr().err
    metrics = {"Step": 20, **METRICS, "probe.log_mel.beat_f": 0.6, "probe.untrained_trunk.beat_f": 0.55}
    (run / "figures-test.json").write_text(json.dumps(metrics))
    assert main([str(run), "--split", "test"]) == 0
    rows = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if line}
    assert "| step 20 |" in rows["step 20"]
    assert "| 0.600 |" in rows["log-mel"]
    assert "| 0.550 |" in rows["untrained"]

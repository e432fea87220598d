"""The curves show the recorded metrics of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from recipes.benchmark.pretraining_curves import draw, main

TRAIN = [{"Step": step, "ecl": 3.0 / step, "sral": 0.5} for step in (1, 2, 3)]
VALID = [
    {
        "Step": step,
        "shared.recall_at_1": 0.2 * step,
        "silence.recall_at_1": 0.03,
        "probe.trunk.beat_f": 0.7,
        "probe.trunk.beat_f_low": 0.6,
        "probe.trunk.beat_f_high": 0.8,
    }
    for step in (2, 3)
]


def test_lines_show_the_recorded_metrics() -> None:
    losses, retrieval, hard, probe = draw(TRAIN, VALID).axes
    assert {line.get_label(): list(line.get_ydata()) for line in losses.get_lines()} == {  # type: ignore[arg-type]
        "ECL": [3.0, 1.5, 1.0],
        "SRAL (before λ)": [0.5] * 3,
    }
    lines = {line.get_label(): list(line.get_ydata()) for line in retrieval.get_lines()}  # type: ignore[arg-type]
    assert lines == {"shared grid": [0.4, pytest.approx(0.6)], "shared grid, silence": [0.03] * 2}
    assert not hard.get_lines()
    assert len(probe.get_lines()) == len(probe.collections) == 1


def test_the_command_writes_a_picture_or_names_the_missing_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "a.png")]) == 2
    assert "metrics/train.jsonl: no such file" in capsys.readouterr().err
    (tmp_path / "metrics").mkdir()
    for name, records in (("train", TRAIN), ("valid", VALID)):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"metrics/{name}.jsonl").write_text(text + '{"Step": 4, "ecl')  # as after a kill
    assert main([str(tmp_path), "-o", str(tmp_path / "a.png")]) == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000

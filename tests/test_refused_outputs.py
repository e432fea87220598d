"""Trained weights and scores are not replaced unasked, and the refusal names the option that does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.benchmark.__main__ import main as benchmark
from recipes.downstream.dance_generation.export import main as export_dancer
from recipes.downstream.retrieval.zero_shot import main as zero_shot
from recipes.pretrain.export import main as export_tower


def test_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    weights.write_bytes(b"of another run")
    assert export_tower(["run", str(weights)]) == 2
    assert f"{weights}: exists; give another name, or --overwrite" in capsys.readouterr().err
    assert export_tower(["run", str(other), "--motion-side", str(weights)]) == 2
    assert f"{weights}: exists; give another name, or --overwrite" in capsys.readouterr().err
    assert export_dancer(["run", str(weights)]) == 2
    assert f"{weights}: exists; give another name, or --overwrite" in capsys.readouterr().err
    assert export_tower(["run", str(other), "--motion-side", str(other)]) == 2
    assert "is another output" in capsys.readouterr().err
    assert export_tower(["run", str(weights), "--overwrite"]) == 2
    assert "run: contains no checkpoint" in capsys.readouterr().err
    assert weights.read_bytes() == b"of another run"
    assert not other.exists()


@pytest.mark.slow
def test_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("scores-test.jsonl", "metrics.jsonl"):
        (tmp_path / name).write_text("{}")
    assert zero_shot(["corpus", str(tmp_path)]) == 2
    assert "scores-test.jsonl: exists; give another name, or --overwrite" in capsys.readouterr().err
    (tmp_path / "dances").mkdir()
    dances = str(tmp_path / "dances")
    assert benchmark(["dance-metrics", dances, dances, "-o", str(tmp_path)]) == 2
    assert "metrics.jsonl: exists; give another name, or --overwrite" in capsys.readouterr().err

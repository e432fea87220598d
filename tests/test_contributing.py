"""The example of CONTRIBUTING.md is a task that runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from recipes.downstream import run_downstream
from recipes.downstream.s3prl_runner import registration
from recipes.results.record import read_results, results_path
from tests.made_corpus import Made, write_corpus

ROOT = Path(__file__).parent.parent


def test_the_example_task_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.search(r"<!-- example task: (\w+) -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    task, code = found.groups()
    folder = tmp_path / "tasks" / task
    folder.mkdir(parents=True)
    (folder / "expert.py").write_text(code)
    shutil.copy(registration.TASKS / "genre" / "config.yaml", folder)
    monkeypatch.setattr(registration, "TASKS", tmp_path / "tasks")

    pairs = [
        Made(f"{split}{number}", bpm=90.0 + 7 * number, seconds=6.0, split=split, metre=(3, 4)[number % 2])
        for split, count in (("train", 6), ("dev", 4), ("test", 4))
        for number in range(count)
    ]
    write_corpus(tmp_path / "corpus", pairs)
    options = ",,".join(
        [
            f"config.downstream_expert.datarc.root={tmp_path / 'corpus'}",
            *(f"config.runner.{key}=4" for key in ("total_steps", "eval_step", "save_step")),
        ]
    )
    arguments = ["-m", "train", "-u", "motionbeat_log_mel", "-d", task, "-p", str(tmp_path / "out")]
    assert run_downstream.main([*arguments, "--device", "cpu", "-o", options]) == 0
    (results,) = read_results(results_path(tmp_path / "out"))
    assert results.run.task == task
    assert {value for _, _, measure, value in results.rows if measure == "label"} == {1.0, 2.0}

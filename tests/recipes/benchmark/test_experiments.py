"""Experiments: planning, resuming, and the table over seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motion_data.errors import DataError
from recipes.benchmark import experiments
from recipes.benchmark.experiments import (
    Experiment,
    comparison_table,
    main,
    merge_layers,
    plan_runs,
    read_experiment,
)
from recipes.pretrain.request import read_config
from recipes.results.record import Results, Run

FILES = Path(__file__).parents[3] / "recipes/pretrain/experiments"

EXPERIMENT = """
title: small
seeds: [1, 2]
shared: {regime: {num_steps: 5}, data: {corpora: [a]}}
arms:
  one: {base: heads}
  other: {base: tiny, data: {corpora: [b]}}
clips: 8
"""


def test_arms_change_what_they_share() -> None:
    assert merge_layers({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}
    shared = {"a": {"b": 1}}
    merge_layers(shared, {"a": {"b": 2}})
    assert shared == {"a": {"b": 1}}


@pytest.mark.parametrize("file", sorted(FILES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_committed_experiments_can_be_trained(file: Path, tmp_path: Path) -> None:
    from recipes.pretrain.options import find_config

    for run in plan_runs(read_experiment(file), tmp_path):
        base = str(find_config(run.config["base"]).resolve())
        config = tmp_path / "arm.yaml"
        config.write_text(json.dumps({**run.config, "base": base}))
        assert read_config(config).common.seed == run.seed


def calls_of(monkeypatch: pytest.MonkeyPatch, fails: str = "") -> list[str]:
    """The commands that are called, in place of which only their files are written."""
    calls: list[str] = []

    def call(module: str, *arguments: str) -> int:
        calls.append(module)
        if module == fails:
            return 3
        if module == "recipes.pretrain.export":
            Path(arguments[1]).write_text("weights")
        if module == "recipes.pretrain.validate":
            seed = json.loads((Path(arguments[0]).parent / "experiment.json").read_text())["common"]["seed"]
            run = Path(arguments[0])
            run.mkdir(exist_ok=True)
            better = 0.1 if "other" in run.parent.name else 0.0
            (run / "figures-dev.json").write_text(json.dumps({"heads.beat_f": 0.5 + better * seed}))
        return 0

    monkeypatch.setattr(experiments, "run_module", call)
    return calls


def test_what_is_finished_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT)
    out = tmp_path / "out"
    calls = calls_of(monkeypatch, fails="recipes.pretrain.validate")
    assert main([str(file), str(out)]) == 3
    assert calls == ["recipes.pretrain", "recipes.pretrain.export", "recipes.pretrain.validate"]
    calls = calls_of(monkeypatch)
    assert main([str(file), str(out)]) == 0
    assert calls.count("recipes.pretrain") == 3
    assert calls.count("recipes.pretrain.validate") == 4
    table = (out / "table.md").read_text()
    assert "| other | 0.650 [0.600, 0.700]" in table
    assert "| other − one | +0.150 [+0.100, +0.200]" in table
    calls = calls_of(monkeypatch)
    assert main([str(file), str(out)]) == 0
    assert calls == []
    file.write_text(EXPERIMENT.replace("num_steps: 5", "num_steps: 6"))
    assert main([str(file), str(out)]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not an experiment"),
        ("title: a", "not an experiment"),
        ("{title: a, seeds: [1, 1], arms: {b: {base: heads}}}", "different seeds"),
        ("{title: a, seeds: [1], arms: {b: {}}}", "arm b"),
        ("{title: a, seeds: [1], arms: {b: {base: heads}}, steps: 4}", "steps"),
    ],
)
def test_a_file_that_is_no_experiment(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_experiment(file)


def test_an_arm_without_a_figure_has_a_dash() -> None:
    results = [
        Results(Run("experiment", "dev", arm, seed=seed), [("dev", "dev", measure, value)])
        for arm, seed, measure, value in (
            ("one", 1, "F", 0.5),
            ("one", 2, "F", 0.7),
            ("other", 1, "F", 0.8),
            ("other", 1, "G", 0.1),
        )
    ]
    table = comparison_table(results, Experiment("t", [1, 2], {"one": {}, "other": {}}))
    assert [one.text() for one in table.rows["one"]] == ["0.600 [0.500, 0.700]", "–"]
    assert [one.text("+") for one in table.margins["other − one"]] == ["+0.300", "–"]

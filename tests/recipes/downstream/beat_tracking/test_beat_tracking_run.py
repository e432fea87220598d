"""The task end to end, by the command, on S3PRL's own features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motion_data.beats_file import read_beats
from recipes.downstream.run_downstream import main
from recipes.results.record import Results, read_results, results_path
from recipes.results.tables import run_estimates
from tests.beat_tracking_clicks import write_clicks

TASK = "config.downstream_expert"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and the experiment ``exp``, trained for a moment."""
    folder = tmp_path_factory.mktemp("run")
    write_clicks(folder / "data", seconds=16.0)
    overrides = {
        f"{TASK}.datarc.root": folder / "data",
        f"{TASK}.datarc.crop_seconds": 6.0,
        f"{TASK}.datarc.chunk_seconds": 9.0,
        f"{TASK}.datarc.overlap_seconds": 2.0,
        f"{TASK}.scoringrc.resamples": 50,
        "config.runner.total_steps": 80,
        "config.runner.eval_step": 40,
        "config.runner.save_step": 40,
        "config.runner.log_step": 5,
        "config.optimizer.lr": 0.05,
    }
    options = ",,".join(f"{key}={value}" for key, value in overrides.items())
    command = ["-m", "train", "-u", "fbank", "-d", "beat_tracking", "-p", str(folder / "exp"), "-o", options]
    assert main(command) == 0
    return folder


def scores(folder: Path, split: str = "test") -> Results:
    (results,) = read_results(results_path(folder, split))
    return results


def mean(results: Results, measure: str) -> float:
    return run_estimates(results, [measure])[measure].value


@pytest.mark.slow
def test_training_leaves_checkpoint_and_scores(trained: Path) -> None:
    names = {path.name for path in (trained / "exp").iterdir()}
    assert {"dev-best.ckpt", "states-80.ckpt", "scores-test.jsonl", "scores-test.md"} <= names
    results = scores(trained / "exp")
    assert results.run.upstream == "fbank"
    assert results.run.data == str(trained / "data")
    assert mean(results, "dbn beat F") > 0.9
    assert scores(trained / "exp", "dev").run.step == results.run.step


def test_evaluating_the_best_checkpoint_gives_its_scores_again(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = scores(trained / "exp")
    assert main(["-m", "evaluate", "-e", str(trained / "exp" / "dev-best.ckpt")]) == 0
    after = scores(trained / "exp")
    assert after.rows == before.rows
    assert after.run.details["thresholds"] == before.run.details["thresholds"]
    assert "## beat_tracking, test: fbank, linear probe" in capsys.readouterr().out


def test_inference_writes_a_beats_file(trained: Path) -> None:
    checkpoint = str(trained / "exp" / "dev-best.ckpt")
    assert main(["-m", "inference", "-e", checkpoint, "-t", str(trained / "data" / "p4.wav")]) == 0
    found, truth = read_beats(trained / "exp" / "p4.beats"), read_beats(trained / "data" / "p4.beats")
    assert abs(len(found.times) - len(truth.times)) <= 2


@pytest.mark.slow
def test_training_goes_on_where_it_stopped_and_ends_with_what_was_reached(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = torch.load(trained / "exp" / "dev-best.ckpt", weights_only=False)["Downstream"]["best"]
    more = "config.runner.total_steps=120"
    assert main(["-m", "train", "-e", str(trained / "exp"), "-o", more]) == 0
    states = torch.load(trained / "exp" / "states-120.ckpt", weights_only=False)
    assert states["Step"] == 120
    assert states["Downstream"]["best"] >= best
    results = scores(trained / "exp")
    *_, step, kept, beats, _, place = capsys.readouterr().out.splitlines()
    assert step == "[beat_tracking] trained to step 120"
    loss = -float(states["Downstream"]["best"])
    assert kept == (
        f"[beat_tracking] best on dev: the weights of step {results.run.step}, lowest dev loss, {loss:.4f}"
    )
    f = {decoder: mean(results, f"{decoder} beat F") for decoder in ("dbn", "peaks")}
    assert f"test beat F, 1 piece(s): {f['dbn']:.3f} with the Bayesian decoder, {f['peaks']:.3f}" in beats
    assert place.startswith(f"[beat_tracking] {trained / 'exp'}: dev-best.ckpt, scores-test.md")


def test_a_split_that_is_not_there_is_one_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "evaluate", "-e", str(trained / "exp" / "dev-best.ckpt"), "-t", "tset"]) == 2
    assert "no split 'tset'; expected one of train, dev, test" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"{TASK}.datarc.root=/nowhere", "/nowhere: no such folder or CSV file"),
        (f"{TASK}.datarc.rooot=x", "unknown key datarc.rooot"),
        (f"{TASK}.modelrc.probe=deep", "modelrc.probe = 'deep': must be 'linear', 'mlp' or 'conv'"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    command = ["-m", "train", "-u", "fbank", "-d", "beat_tracking", "-p", str(tmp_path / "exp")]
    assert main([*command, "-o", override]) == 2
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1]
    assert "Traceback" not in error

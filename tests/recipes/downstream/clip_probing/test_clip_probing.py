"""Probes on cached features, runs of the tasks, their reports and the table of the benchmark."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import matplotlib.image
import numpy as np
import pytest
import torch

from recipes.benchmark.clip_tasks import CLIP_TASKS
from recipes.benchmark.run.__main__ import main as run_benchmark
from recipes.downstream import run_downstream
from recipes.downstream.clip_probing import probing
from recipes.downstream.clip_probing.clips import ClipData
from recipes.downstream.clip_probing.features import ClipFeatures
from recipes.downstream.clip_probing.predictions import (
    DIGITS,
    Predictions,
    compare_predictions,
    read_predictions,
)
from recipes.downstream.clip_probing.probing import predict, train
from recipes.downstream.clip_probing.report import report
from recipes.downstream.clip_probing.settings import ModelSettings, ScoringSettings, TaskSettings
from recipes.downstream.clip_probing.synthetic import synthetic_mixtures, synthetic_moods, synthetic_notes
from recipes.launch.__main__ import main as launch
from recipes.results.record import Run, read_results, results_path
from tests.published_layouts import LAYOUTS


def layer_features(data: ClipData, layer: int, noise: float = 0.05) -> dict[str, list[ClipFeatures]]:
    """Features of two slices per clip: one of three layers encodes the label, the others are noise."""
    rng = np.random.default_rng(0)
    count = len(data.target.names)
    features: dict[str, list[ClipFeatures]] = {}
    for split, clips in data.splits.items():
        features[split] = []
        for clip in clips:
            means = rng.standard_normal((2, 3, count + 2))
            label = np.eye(count)[int(clip.label)] if clip.label.ndim == 0 else clip.label
            means[:, layer, :count] = 100 + label + noise * rng.standard_normal((2, count))
            features[split].append(ClipFeatures(torch.from_numpy(means).float(), torch.tensor([50.0, 20.0])))
    return features


def repeated(data: ClipData) -> ClipData:
    """Every clip eight times, for enough training data."""
    splits = {
        split: [replace(clip, name=f"{clip.name} {copy}") for copy in range(8) for clip in clips]
        for split, clips in data.splits.items()
    }
    return replace(data, splits=splits)


@pytest.mark.slow
@pytest.mark.parametrize("make", [synthetic_notes, synthetic_mixtures, synthetic_moods])
@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_a_probe_selects_the_informative_layer(make: object, probe: Literal["linear", "mlp"]) -> None:
    assert callable(make)
    data = repeated(make())
    features = layer_features(data, layer=1)
    best = train(features, data, ModelSettings(probe, hidden=32), seed=0)
    predictions = predict(best.probe, features["test"], data.splits["test"], data.target)
    assert data.target.scores(predictions.values, predictions.labels)[0] > 0.8
    assert best.dev > 0.8
    weights = best.probe.weights.softmax(0)
    assert weights[1] == weights.max()


def test_a_probe_depends_only_on_the_seed_and_global_random_state_is_kept() -> None:
    data = synthetic_notes()
    features = layer_features(data, layer=0, noise=1.0)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other_seed = (
        train(features, data, ModelSettings("mlp", 16), seed, (1e-3,)) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in first.probe.state_dict().items():
        torch.testing.assert_close(value, second.probe.state_dict()[name], rtol=0, atol=0)
    assert not torch.equal(first.probe.weights, other_seed.probe.weights)


def test_slices_are_weighted_by_length() -> None:
    data = synthetic_moods()
    features = layer_features(data, layer=2)
    best = train(features, data, ModelSettings(), seed=0, learning_rates=(1e-2,))
    clip = features["test"][0]
    clips = data.splits["test"][:1]
    separate = [
        predict(
            best.probe, [ClipFeatures(clip.means[k : k + 1], clip.frames[k : k + 1])], clips, data.target
        ).values
        for k in (0, 1)
    ]
    both = predict(best.probe, [clip], clips, data.target).values
    np.testing.assert_allclose(both, (50 * separate[0] + 20 * separate[1]) / 70, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "minimum"), [("instrument", 0.8), ("tagging", 0.75), ("music_emotion", 0.3), ("genre", 0.0)]
)
def test_a_task_trains_and_evaluates(task: str, minimum: float, tmp_path: Path) -> None:
    arguments = [*f"-m train -u motionbeat_log_mel -d {task} --device cpu -p".split(), str(tmp_path)]
    steps = 100 if minimum else 10
    keys = ("runner.total_steps", "runner.eval_step", "runner.save_step")
    options = ",,".join([*(f"config.{key}={steps}" for key in keys), "config.optimizer.lr=0.03"])
    assert run_downstream.main([*arguments, "-o", options]) == 0
    (before,) = read_results(results_path(tmp_path))
    target = CLIP_TASKS[task].load(None, None, 0).target
    predictions = read_predictions([before], target)
    ((scores,), _) = compare_predictions([[predictions]], target, 50)
    first, chance = scores[0], target.chance(predictions.labels)[0]
    assert first.low <= first.value <= first.high
    assert first.value >= max(minimum, 0.0 if task == "genre" else chance + 0.1)
    assert "says nothing about real music" in before.run.data
    assert matplotlib.image.imread(tmp_path / "predictions-test.png").shape[0] > 100
    # Evaluating the checkpoint gives the same results.
    assert (
        run_downstream.main(["-m", "evaluate", "-e", str(tmp_path / "dev-best.ckpt"), "--device", "cpu"]) == 0
    )
    assert read_results(results_path(tmp_path))[0].rows == before.rows


@pytest.mark.slow
def test_both_commands_give_the_same_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "MAX_EPOCHS", 5)
    LAYOUTS["emomusic"](tmp_path / "data" / "emomusic")
    out = tmp_path / "out"
    # Upstreams with one layer and with several, and several slices per clip.
    upstreams = ("motionbeat_log_mel", "motionbeat_untrained")
    arguments = [str(out), "--data", str(tmp_path / "data"), "-u", *upstreams, "--slice-seconds", "0.5"]
    arguments += ["--seeds", "0", "--tasks", "music_emotion", "--resamples", "200", "--probe", "mlp"]
    assert run_benchmark(arguments) == 0
    table = (out / "table.md").read_text()
    target = CLIP_TASKS["music_emotion"].load(str(tmp_path / "data" / "emomusic"), "emomusic", 0).target
    for upstream in upstreams:
        for fold in (0, 4):
            folder = out / "music_emotion-emomusic" / f"{upstream}-mlp-fold{fold}-seed0"
            (before,) = read_results(results_path(folder))
            report_before = (folder / "scores-test.md").read_text()
            checkpoint = str(folder / "dev-best.ckpt")
            assert run_downstream.main(["-m", "evaluate", "-e", checkpoint, "--device", "cpu"]) == 0
            (after,) = read_results(results_path(folder))
            for name in ("task", "data", "upstream", "checkpoint", "seed", "fold", "split"):
                assert getattr(after.run, name) == getattr(before.run, name)
            first, second = (read_predictions([results], target) for results in (before, after))
            assert (first.names, first.groups) == (second.names, second.groups)
            np.testing.assert_array_equal(first.labels, second.labels)
            np.testing.assert_allclose(first.values, second.values, atol=2 * 10**-DIGITS)
            # An evaluation does not know the step.
            assert (folder / "scores-test.md").read_text() == re.sub(r", step \d+", "", report_before)
    capsys.readouterr()
    # The table of the results of run_downstream.py is the same.
    assert run_benchmark(arguments) == 0
    assert (out / "table.md").read_text() == table


def test_the_checkpoint_of_an_earlier_version_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "train", "-u", "fbank", "-d", "genre", "-p", str(tmp_path), "--device", "cpu"]
    steps = ",,".join(f"config.runner.{key}=1" for key in ("total_steps", "eval_step", "save_step"))
    assert run_downstream.main([*arguments, "-o", steps]) == 0
    states = torch.load(tmp_path / "dev-best.ckpt", weights_only=False)
    states["Downstream"]["probe.normalisation.running_mean"] = torch.zeros(80)
    torch.save(states, tmp_path / "old.ckpt")
    capsys.readouterr()
    assert run_downstream.main(["-m", "evaluate", "-e", str(tmp_path / "old.ckpt"), "--device", "cpu"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "run_downstream.py: error: the checkpoint contains the probe of an earlier version of this task; "
        "train it again"
    )


@pytest.mark.slow
def test_inference_prints_the_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    arguments = [
        *["-m", "train", "-u", "motionbeat_log_mel", "-d", "instrument", "--device", "cpu", "-p"],
        str(tmp_path),
    ]
    options = "config.runner.total_steps=60,,config.runner.eval_step=60,,config.optimizer.lr=0.03"
    assert run_downstream.main([*arguments, "-o", options]) == 0
    clip = synthetic_notes().splits["test"][1]
    soundfile.write(tmp_path / "note.wav", clip.load().numpy(), 16_000)
    checkpoint = str(tmp_path / "dev-best.ckpt")
    capsys.readouterr()
    assert (
        run_downstream.main(
            ["-m", "inference", "-e", checkpoint, "-t", str(tmp_path / "note.wav"), "--device", "cpu"]
        )
        == 0
    )
    assert "[instrument] note: clarinet" in capsys.readouterr().out


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        *["-m", "train", "-u", "motionbeat_log_mel", "-d", "genre", "--device", "cpu", "-p"],
        str(tmp_path / "out"),
    ]
    options = f"config.downstream_expert.datarc.root={tmp_path}"
    assert run_downstream.main([*arguments, "-o", options]) == 2
    stderr = capsys.readouterr().err
    assert f"run_downstream.py: error: {tmp_path}: contains no genres; get GTZAN" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
@pytest.mark.parametrize("make", [synthetic_notes, synthetic_mixtures, synthetic_moods])
def test_the_results_of_a_report_can_be_read(make: object, tmp_path: Path) -> None:
    assert callable(make)
    data: ClipData = make()
    clips = data.splits["test"]
    rng = np.random.default_rng(0)
    labels = np.stack([clip.label for clip in clips])
    values = np.round(rng.random((len(clips), len(data.target.names))), DIGITS).astype(np.float32)
    predictions = Predictions(
        tuple(clip.name for clip in clips), tuple(clip.group for clip in clips), labels, values
    )
    settings = TaskSettings(scoringrc=ScoringSettings(30))
    run = Run("task", data.name, "u", details={"settings": asdict(settings)})
    text = report(tmp_path, run, predictions, data)
    (results,) = read_results(results_path(tmp_path))
    assert results.run == run
    read = read_predictions([results], data.target)
    assert (read.names, read.groups) == (predictions.names, predictions.groups)
    np.testing.assert_array_equal(read.labels, labels)
    np.testing.assert_array_equal(read.values, values)
    assert matplotlib.image.imread(tmp_path / "predictions-test.png").std() > 0
    ((scores,), _) = compare_predictions([[predictions]], data.target, 30)
    expected = data.target.scores(values, labels)
    np.testing.assert_array_equal([score.value for score in scores], expected)
    assert all(score.low <= score.high for score in scores if not np.isnan(score.value))
    assert f"| u | {' | '.join(score.text(undefined='undefined') for score in scores)} |" in text
    assert "| best constant | " in text


def test_seeds_are_averaged_and_upstreams_have_the_same_resamples() -> None:
    data = synthetic_notes()
    clips = data.splits["test"]
    rng = np.random.default_rng(0)
    labels = np.stack([clip.label for clip in clips])

    def guess() -> Predictions:
        values = rng.random((len(clips), len(data.target.names))).astype(np.float32)
        return Predictions(
            tuple(clip.name for clip in clips), tuple(clip.group for clip in clips), labels, values
        )

    first, second = [guess(), guess()], [guess(), guess()]
    rows, margins = compare_predictions([first, second, first], data.target, 100)
    mean = np.mean([data.target.scores(seed.values, labels) for seed in first], axis=0)
    np.testing.assert_allclose([estimate.value for estimate in rows[0]], mean)
    assert rows[2] == rows[0]
    for margin, x, y in zip(margins[0], rows[0], rows[1], strict=True):
        assert margin.value == pytest.approx(x.value - y.value)
    assert {(margin.value, margin.low, margin.high) for margin in margins[1]} == {(0, 0, 0)}


@pytest.mark.slow
def test_the_benchmark_writes_a_table_and_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "MAX_EPOCHS", 3)
    LAYOUTS["philharmonia"](tmp_path / "data" / "philharmonia")
    LAYOUTS["emomusic"](tmp_path / "data" / "emomusic")
    out = tmp_path / "out"
    arguments = [str(out), "--data", str(tmp_path / "data"), "-u", "motionbeat_log_mel", "again=mfcc"]
    arguments += ["--seeds", "0", "1", "--tasks", "instrument", "music_emotion", "--resamples", "50"]
    assert run_benchmark(arguments) == 0
    table = capsys.readouterr().out
    assert (out / "table.md").read_text() + "\n" == table
    for expected in (
        "## instrument: philharmonia",
        "## music_emotion: emomusic",
        "| motionbeat_log_mel − again |",
        "| without listening |",
        "- instrument, nsynth: no ",
        "- music_emotion, deam: no ",
    ):
        assert expected in table
    assert "tagging" not in table
    files = sorted(out.rglob("scores-test.jsonl"))
    assert len(files) == 2 * 2 * (9 + 5)
    assert matplotlib.image.imread(out / "table.png").std() > 0
    assert {read_results(file)[0].run.upstream for file in files} == {"motionbeat_log_mel", "again"}

    # Existing results are kept, and missing ones are computed.
    stamps = {file: file.stat().st_mtime_ns for file in files}
    files[3].unlink()
    assert run_benchmark(arguments) == 0
    assert capsys.readouterr().out == table
    changed = [file for file in files if file.stat().st_mtime_ns != stamps[file]]
    assert changed == [files[3]]


@pytest.mark.slow
def test_the_benchmark_can_be_launched_upstream_by_upstream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    LAYOUTS["mtg_jamendo"](tmp_path / "data" / "mtg_jamendo")
    out, upstreams = tmp_path / "out", ["motionbeat_log_mel", "mfcc"]
    options = ["--data", str(tmp_path / "data"), "--seeds", "0"]
    launched = [*["benchmark", "--cluster", "debug", "--folder"], str(out)]
    launched += ["--each", f"upstreams={','.join(upstreams)}"]
    assert launch([*launched, "--", *options, "--no-table"]) == 0
    assert not (out / "table.md").exists()
    files = sorted(out.rglob("scores-test.jsonl"))
    stamps = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2
    capsys.readouterr()
    assert run_benchmark([str(out), *options, "-u", *upstreams]) == 0
    assert "| motionbeat_log_mel − mfcc |" in capsys.readouterr().out
    assert [file.stat().st_mtime_ns for file in files] == stamps


@pytest.mark.slow
def test_a_corrupt_file_stops_the_benchmark_and_finished_results_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "MAX_EPOCHS", 2)
    LAYOUTS["philharmonia"](tmp_path / "data" / "philharmonia")
    LAYOUTS["nsynth"](tmp_path / "data" / "nsynth")
    victim = sorted((tmp_path / "data" / "philharmonia").glob("*.wav"))[20]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:30])
    out = tmp_path / "out"
    arguments = [str(out), "--data", str(tmp_path / "data"), "-u", "motionbeat_log_mel"]
    arguments += ["--tasks", "instrument", "--seeds", "0", "--resamples", "50"]
    assert run_benchmark(arguments) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"recipes.benchmark run: {victim}: ")
    assert not (out / "table.md").exists()
    finished = {file: file.stat().st_mtime_ns for file in out.rglob("scores-test.jsonl")}
    # Folds without the file may be finished before.
    assert "instrument-nsynth" in {file.parent.parent.name for file in finished}
    assert len(finished) < 1 + 9
    cached = {file: file.stat().st_mtime_ns for file in (out / "features").rglob("*") if file.is_file()}
    assert len(cached) > len(LAYOUTS)

    victim.write_bytes(whole)
    assert run_benchmark(arguments) == 0
    assert "## instrument: philharmonia" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in {**finished, **cached}} == {**finished, **cached}


def test_a_benchmark_without_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path / "out"), "--data", str(tmp_path)]
    assert run_benchmark(arguments) == 2
    assert "contains none of the data sets: beat_tracking, debian_songs: no " in capsys.readouterr().err
    assert run_benchmark([*arguments, "-u", "x=fbank", "x=mfcc"]) == 2
    assert "'x' is given twice" in capsys.readouterr().err
    assert run_benchmark([*arguments, "-u", "lost.safetensors"]) == 2
    assert "lost.safetensors: no such file" in capsys.readouterr().err
    assert run_benchmark([*arguments, "--dance-config", "lost.yaml"]) == 2
    assert "--dance-config lost.yaml: no such file" in capsys.readouterr().err

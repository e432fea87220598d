"""Probes on kept features, whole runs of the tasks, their reports and the benchmark's table."""

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
from recipes.downstream.clip_probing.made import made_mixtures, made_moods, made_notes
from recipes.downstream.clip_probing.predictions import (
    DIGITS,
    Predictions,
    compare_predictions,
    read_predictions,
)
from recipes.downstream.clip_probing.probing import predict, train
from recipes.downstream.clip_probing.report import report
from recipes.downstream.clip_probing.settings import ModelSettings, ScoringSettings, TaskSettings
from recipes.launch.__main__ import main as launch
from recipes.results.record import Run, read_results, results_path
from tests.published_layouts import LAYOUTS


def told(data: ClipData, loud: int, noise: float = 0.05) -> dict[str, list[ClipFeatures]]:
    """Features of two slices a clip: one layer of three says the label, the others say nothing."""
    draw = np.random.default_rng(0)
    count = len(data.target.names)
    features: dict[str, list[ClipFeatures]] = {}
    for split, clips in data.splits.items():
        features[split] = []
        for clip in clips:
            means = draw.standard_normal((2, 3, count + 2))
            label = np.eye(count)[int(clip.label)] if clip.label.ndim == 0 else clip.label
            means[:, loud, :count] = 100 + label + noise * draw.standard_normal((2, count))
            features[split].append(ClipFeatures(torch.from_numpy(means).float(), torch.tensor([50.0, 20.0])))
    return features


def many(data: ClipData) -> ClipData:
    """The same labels eight times: enough to learn from among noise."""
    splits = {
        split: [replace(clip, name=f"{clip.name} {copy}") for copy in range(8) for clip in clips]
        for split, clips in data.splits.items()
    }
    return replace(data, splits=splits)


@pytest.mark.slow
@pytest.mark.parametrize("make", [made_notes, made_mixtures, made_moods])
@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_a_probe_finds_what_one_layer_says(make: object, probe: Literal["linear", "mlp"]) -> None:
    assert callable(make)
    data = many(make())
    features = told(data, loud=1)
    best = train(features, data, ModelSettings(probe, hidden=32), seed=0)
    found = predict(best.probe, features["test"], data.splits["test"], data.target)
    assert data.target.scores(found.values, found.labels)[0] > 0.8
    assert best.dev > 0.8
    weights = best.probe.weights.softmax(0)
    assert weights[1] == weights.max()


def test_the_same_seed_gives_the_same_probe_and_leaves_the_callers_generator_alone() -> None:
    data = made_notes()
    features = told(data, loud=0, noise=1.0)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other, another = (
        train(features, data, ModelSettings("mlp", 16), seed, (1e-3,)) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.probe.state_dict().items():
        torch.testing.assert_close(value, other.probe.state_dict()[name], rtol=0, atol=0)
    assert not torch.equal(one.probe.weights, another.probe.weights)


def test_the_longer_slice_counts_for_more() -> None:
    data = made_moods()
    features = told(data, loud=2)
    best = train(features, data, ModelSettings(), seed=0, learning_rates=(1e-2,))
    one = features["test"][0]
    clips = data.splits["test"][:1]
    alone = [
        predict(
            best.probe, [ClipFeatures(one.means[k : k + 1], one.frames[k : k + 1])], clips, data.target
        ).values
        for k in (0, 1)
    ]
    both = predict(best.probe, [one], clips, data.target).values
    np.testing.assert_allclose(both, (50 * alone[0] + 20 * alone[1]) / 70, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "least"), [("instrument", 0.8), ("tagging", 0.75), ("music_emotion", 0.3), ("genre", 0.0)]
)
def test_a_task_runs_as_s3prl_runs_it(task: str, least: float, tmp_path: Path) -> None:
    arguments = [
        "-m",
        "train",
        "-u",
        "motionbeat_log_mel",
        "-d",
        task,
        "-p",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    steps = 100 if least else 10
    told = ("runner.total_steps", "runner.eval_step", "runner.save_step")
    options = ",,".join([*(f"config.{key}={steps}" for key in told), "config.optimizer.lr=0.03"])
    assert run_downstream.main([*arguments, "-o", options]) == 0
    (before,) = read_results(results_path(tmp_path))
    target = CLIP_TASKS[task].load(None, None, 0).target
    predictions = read_predictions([before], target)
    ((scores,), _) = compare_predictions([[predictions]], target, 50)
    first, chance = scores[0], target.chance(predictions.labels)[0]
    assert first.low <= first.value <= first.high
    assert first.value >= max(least, 0.0 if task == "genre" else chance + 0.1)
    assert "synthesised; says nothing about real music" in before.run.data
    assert matplotlib.image.imread(tmp_path / "predictions-test.png").shape[0] > 100
    # What is evaluated later is what was kept.
    assert (
        run_downstream.main(["-m", "evaluate", "-e", str(tmp_path / "dev-best.ckpt"), "--device", "cpu"]) == 0
    )
    assert read_results(results_path(tmp_path))[0].rows == before.rows


@pytest.mark.slow
def test_both_commands_give_the_same_figure_for_the_same_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "EPOCHS", 5)
    LAYOUTS["emomusic"](tmp_path / "data" / "emomusic")
    out = tmp_path / "out"
    # The log-mel has one layer, and the untrained tower eleven. Half a second makes several slices a clip.
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
            one, other = (read_predictions([results], target) for results in (before, after))
            assert (one.names, one.groups) == (other.names, other.groups)
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_allclose(one.values, other.values, atol=2 * 10**-DIGITS)
            # An evaluation does not know the step.
            assert (folder / "scores-test.md").read_text() == re.sub(r", step \d+", "", report_before)
    capsys.readouterr()
    # The table of what run_downstream.py wrote is the one of what the benchmark wrote.
    assert run_benchmark(arguments) == 0
    assert (out / "table.md").read_text() == table


def test_the_checkpoint_of_an_earlier_probe_is_refused_in_one_line(
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
        "run_downstream.py: error: the checkpoint has the probe of an earlier version of this task; "
        "train it again"
    )


@pytest.mark.slow
def test_inference_says_what_is_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    arguments = [
        "-m",
        "train",
        "-u",
        "motionbeat_log_mel",
        "-d",
        "instrument",
        "-p",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    options = "config.runner.total_steps=60,,config.runner.eval_step=60,,config.optimizer.lr=0.03"
    assert run_downstream.main([*arguments, "-o", options]) == 0
    clip = made_notes().splits["test"][1]
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


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "-m",
        "train",
        "-u",
        "motionbeat_log_mel",
        "-d",
        "genre",
        "-p",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    options = f"config.downstream_expert.datarc.root={tmp_path}"
    assert run_downstream.main([*arguments, "-o", options]) == 2
    said = capsys.readouterr().err
    assert f"run_downstream.py: error: {tmp_path}: holds no genres; get GTZAN" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("make", [made_notes, made_mixtures, made_moods])
def test_a_report_can_be_read_again_and_drawn(make: object, tmp_path: Path) -> None:
    assert callable(make)
    data: ClipData = make()
    clips = data.splits["test"]
    draw = np.random.default_rng(0)
    labels = np.stack([clip.label for clip in clips])
    values = np.round(draw.random((len(clips), len(data.target.names))), DIGITS).astype(np.float32)
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
    np.testing.assert_array_equal([one.value for one in scores], expected)
    assert all(one.low <= one.high for one in scores if not np.isnan(one.value))
    assert f"| u | {' | '.join(one.text(undefined='undefined') for one in scores)} |" in text
    assert "| without listening | " in text


def test_seeds_are_averaged_and_upstreams_meet_the_same_resamples() -> None:
    data = made_notes()
    clips = data.splits["test"]
    draw = np.random.default_rng(0)
    labels = np.stack([clip.label for clip in clips])

    def guess() -> Predictions:
        values = draw.random((len(clips), len(data.target.names))).astype(np.float32)
        return Predictions(
            tuple(clip.name for clip in clips), tuple(clip.group for clip in clips), labels, values
        )

    one, other = [guess(), guess()], [guess(), guess()]
    rows, margins = compare_predictions([one, other, one], data.target, 100)
    mean = np.mean([data.target.scores(of.values, labels) for of in one], axis=0)
    np.testing.assert_allclose([estimate.value for estimate in rows[0]], mean)
    assert rows[2] == rows[0]
    for margin, first, second in zip(margins[0], rows[0], rows[1], strict=True):
        assert margin.value == pytest.approx(first.value - second.value)
    assert {(margin.value, margin.low, margin.high) for margin in margins[1]} == {(0, 0, 0)}


@pytest.mark.slow
def test_the_benchmark_ends_in_a_table_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "EPOCHS", 3)
    LAYOUTS["philharmonia"](tmp_path / "data" / "philharmonia")
    LAYOUTS["emomusic"](tmp_path / "data" / "emomusic")
    out = tmp_path / "out"
    arguments = [
        str(out),
        "--data",
        str(tmp_path / "data"),
        "-u",
        "motionbeat_log_mel",
        "again=mfcc",
        "--seeds",
        "0",
        "1",
    ]
    arguments += ["--tasks", "instrument", "music_emotion", "--resamples", "50"]
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

    # What is there is kept, and what is missing is made.
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
    told = ["--data", str(tmp_path / "data"), "--seeds", "0"]
    launched = [
        "benchmark",
        "--cluster",
        "debug",
        "--folder",
        str(out),
        "--each",
        f"upstreams={','.join(upstreams)}",
    ]
    assert launch([*launched, "--", *told, "--no-table"]) == 0
    assert not (out / "table.md").exists()
    files = sorted(out.rglob("scores-test.jsonl"))
    stamps = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 2
    capsys.readouterr()
    assert run_benchmark([str(out), *told, "-u", *upstreams]) == 0
    assert "| motionbeat_log_mel − mfcc |" in capsys.readouterr().out
    assert [file.stat().st_mtime_ns for file in files] == stamps


@pytest.mark.slow
def test_a_corrupt_file_stops_the_benchmark_and_what_is_finished_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "EPOCHS", 2)
    LAYOUTS["philharmonia"](tmp_path / "data" / "philharmonia")
    LAYOUTS["nsynth"](tmp_path / "data" / "nsynth")
    victim = sorted((tmp_path / "data" / "philharmonia").glob("*.wav"))[20]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:30])
    out = tmp_path / "out"
    arguments = [
        str(out),
        "--data",
        str(tmp_path / "data"),
        "-u",
        "motionbeat_log_mel",
        "--tasks",
        "instrument",
    ]
    arguments += ["--seeds", "0", "--resamples", "50"]
    assert run_benchmark(arguments) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"recipes.benchmark run: {victim}: ")
    assert not (out / "table.md").exists()
    finished = {file: file.stat().st_mtime_ns for file in out.rglob("scores-test.jsonl")}
    # A fold that is without the file may have been done before it.
    assert "instrument-nsynth" in {file.parent.parent.name for file in finished}
    assert len(finished) < 1 + 9
    kept = {file: file.stat().st_mtime_ns for file in (out / "features").rglob("*") if file.is_file()}
    assert len(kept) > len(LAYOUTS)

    victim.write_bytes(whole)
    assert run_benchmark(arguments) == 0
    assert "## instrument: philharmonia" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in {**finished, **kept}} == {**finished, **kept}


def test_nothing_to_benchmark_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path / "out"), "--data", str(tmp_path)]
    assert run_benchmark(arguments) == 2
    assert "holds none of the data sets: beat_tracking, debian_songs: no " in capsys.readouterr().err
    assert run_benchmark([*arguments, "-u", "x=fbank", "x=mfcc"]) == 2
    assert "'x' is given twice" in capsys.readouterr().err
    assert run_benchmark([*arguments, "-u", "lost.safetensors"]) == 2
    assert "lost.safetensors: no such file" in capsys.readouterr().err
    assert run_benchmark([*arguments, "--dance-config", "lost.yaml"]) == 2
    assert "--dance-config lost.yaml: no such file" in capsys.readouterr().err

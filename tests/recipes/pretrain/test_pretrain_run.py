"""A complete run: its files, export, validation, two processes, and no secrets in its files."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from motion_data.manifest import read_corpus
from motionbeat_upstream.hubconf import motionbeat_local
from recipes.pretrain.export import main as export
from recipes.pretrain.guarded_model import GuardedModel
from recipes.pretrain.metrics import DEFAULT_SCORE, LOSS_METRICS, SCORES
from recipes.pretrain.validate import main as validate
from tests.pretrain_run import (
    STEPS,
    arguments,
    checkpoint,
    error_line,
    metrics,
    prepare,
    run,
    start,
    start_two,
    without_times,
)

SECRET = "4f1c-not-for-logs"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("pretrain"))


@pytest.fixture(scope="module")
def finished_run(config: Path) -> tuple[Path, str]:
    """Folder and output of a complete run."""
    folder = config.parent / "out"
    attempt = start(folder, config, environment={"MY_TOKEN": SECRET, "SEEN_BY_ALL": "yes"})
    assert attempt.code() == 0, attempt.read_output()
    return folder, attempt.read_output()


@pytest.fixture(scope="module")
def out(finished_run: tuple[Path, str]) -> Path:
    return finished_run[0]


@pytest.mark.slow
def test_console_output(finished_run: tuple[Path, str]) -> None:
    out, printed = finished_run
    lines = [line for line in printed.splitlines() if line]
    assert lines[0].startswith(f"{out}: a new run, {STEPS} steps in all")
    assert lines[1] == "cpu: float32, 1 thread(s)"
    assert lines[2].endswith("corpus: 6 training pairs, 4 for validation")
    assert lines[3].startswith("step 1: loss ")
    recorded, validated = metrics(out), metrics(out, "valid")
    step_lines = [line for line in lines[4:-2] if line.startswith("step ")]
    assert [line.partition(",")[0] for line in step_lines] == [
        f"step {record['Step']}/{STEPS}: loss {record['Loss']:.3f}" for record in recorded
    ]
    assert all(" s a step" in line for line in step_lines)
    validation_lines = [line for line in lines[4:-2] if line.startswith("validation after ")]
    assert [line.partition(",")[0] for line in validation_lines] == [
        f"validation after step {record['Step']}/{STEPS}: {DEFAULT_SCORE} {record[DEFAULT_SCORE]:.3f}"
        for record in validated
    ]
    # The corpus is too small for some metrics.
    assert all(line.count(",") == len(set(SCORES) & validated[0].keys()) - 1 for line in validation_lines)
    assert len(step_lines) + len(validation_lines) == len(lines) - 6
    best = max(validated, key=lambda record: (record[DEFAULT_SCORE], record["Step"]))
    assert (
        lines[-2]
        == f"done: step {STEPS}; best by {DEFAULT_SCORE}: step {best['Step']}, {best[DEFAULT_SCORE]:.3f}"
    )
    assert lines[-1] == f"export it: python -m recipes.pretrain.export {out} FILE.safetensors"


def test_the_log_does_not_repeat_validation_metrics(out: Path) -> None:
    log = (out / "logs/rank_0.log").read_text()
    assert "Starting validation after step 2" in log
    assert "tensor(" not in log
    assert "own_grids" not in log


def test_every_part_of_the_loss_is_recorded_at_every_step(out: Path) -> None:
    records = metrics(out)
    assert [record["Step"] for record in records] == list(range(1, STEPS + 1))
    expected = {"Loss" if name == "loss" else name for name in LOSS_METRICS}
    expected |= {"Gradient Norm", "grad_norm_music", "grad_norm_motion", "Learning Rate", "Data Epoch"}
    expected |= {"clips", "audio_seconds", "total_skipped_steps", "data_wait_share"}
    for record in records:
        assert expected <= record.keys()
        assert 0 < record["ecl_temperature"] < 1
        assert 2 <= record["clips"] <= 4
        assert record["total_skipped_steps"] == 0
        assert 0 <= record["data_wait_share"] <= 1
        assert -1 <= record["negative_cosine"] <= 1
        assert -1 <= record["positive_cosine"] <= 1
        # The total also contains the gradients of the temperatures.
        parts = record["grad_norm_music"] ** 2 + record["grad_norm_motion"] ** 2
        assert 0 < parts <= 1.0001 * record["Gradient Norm"] ** 2
    # The run has several epochs.
    assert records[-1]["Data Epoch"] > 1


def test_checkpoints_are_validated_and_the_best_and_the_last_two_are_kept(out: Path) -> None:
    records = metrics(out, "valid")
    assert [record["Step"] for record in records] == list(range(2, STEPS + 1, 2))
    assert all(0 <= record[DEFAULT_SCORE] <= 1 for record in records)
    steps = sorted(int(path.name[5:]) for path in (out / "checkpoints").glob("step_*"))
    # Of equal scores the later one is the best.
    best = max(records, key=lambda record: (record[DEFAULT_SCORE], record["Step"]))["Step"]
    assert steps == sorted({best, STEPS - 2, STEPS})
    for step in steps:
        assert {path.split("/")[0] for path in checkpoint(out, step)} == {
            "trainer",
            "model",
            "optimizer",
            "data_reader",
        }


def test_the_folder_contains_configuration_logs_and_tensorboard(out: Path) -> None:
    for name in ("config.yaml", "logs/rank_0.log", "tb/train", "tb/valid"):
        assert (out / name).exists()
    assert [path for path in out.rglob("events.out.tfevents.*") if path.stat().st_size > 100]
    assert not [path for path in out.rglob("*") if path.name.endswith((".tmp", ".part"))]


def test_no_secret_of_the_environment_is_in_any_file(out: Path, config: Path) -> None:
    assert "SEEN_BY_ALL=yes" in (out / "logs/rank_0.log").read_text()
    files = [path for path in out.rglob("*") if path.is_file()] + list(config.parent.glob("*.out"))
    assert len(files) > 10
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("step", ["best", "last"])
def test_the_music_tower_is_exported_with_its_provenance(
    out: Path, config: Path, tmp_path: Path, step: str
) -> None:
    file = tmp_path / "tower.safetensors"
    assert export([str(out), str(file), "--step", step]) == 0
    upstream = motionbeat_local(ckpt=file)
    wav = torch.randn(16_000)
    states = upstream([wav])["hidden_states"]
    assert states[0].shape == (1, 50, 16)
    assert all(state.isfinite().all() for state in states)
    with safe_open(file, "pt") as opened:
        text = json.dumps(opened.metadata())
    for expected in (
        read_corpus(config.parent / "corpus").sha256,
        version("torch"),
        version("fairseq2"),
        "num_warmup",
    ):
        assert expected in text


def test_a_finished_run_can_be_validated_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate([str(out), "--step", "last", "--split", "dev"]) == 0
    validated = json.loads((out / "figures-dev.json").read_text())
    recorded = metrics(out, "valid")[-1]
    extra = validated.keys() - recorded.keys()
    assert extra == {name for name in validated if name.startswith(("probe.log_mel", "probe.untrained_"))}
    assert {"probe.log_mel.beat_f", "probe.untrained_trunk.beat_f"} <= extra
    assert len(validated) > 100
    for name, value in ((name, value) for name, value in validated.items() if name not in extra):
        assert value == pytest.approx(recorded[name], abs=1e-6, nan_ok=True), name
    assert f"{DEFAULT_SCORE} " in capsys.readouterr().out
    # The small corpus has no test split.
    assert validate([str(out)]) == 2
    assert "no corpus has a test split" in capsys.readouterr().err
    assert not (out / "figures-test.json").exists()


@pytest.mark.slow
def test_a_finished_run_is_not_changed(out: Path, config: Path) -> None:
    before = [(out / f"metrics/{name}.jsonl").read_bytes() for name in ("train", "valid")]
    assert run(out, config).code() == 0
    assert before == [(out / f"metrics/{name}.jsonl").read_bytes() for name in ("train", "valid")]


@pytest.mark.slow
def test_a_run_can_be_extended(tmp_path: Path, config: Path) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    assert run(short, config, "regime.num_steps=2").code() == 0
    for folder in (short, long):
        assert run(folder, config, "regime.num_steps=4").code() == 0
    assert without_times(metrics(short)) == without_times(metrics(long))


def print_weights() -> None:
    """Let the process print the gradient norm and a hash of the weights at every step."""
    clip = GuardedModel.clip_grad_norm

    def step_lines(self: GuardedModel, max_norm: float | None) -> torch.Tensor:
        norm = clip(self, max_norm)
        state = self.state_dict().values()
        digest = hashlib.sha256(b"".join(value.detach().numpy().tobytes() for value in state)).hexdigest()  # type: ignore[attr-defined]
        print(f"norm {float(norm)!r} weights {digest}", flush=True)
        return norm

    GuardedModel.clip_grad_norm = step_lines  # type: ignore[method-assign]


@pytest.mark.slow
def test_a_run_of_two_processes_resumes_only_with_two(tmp_path: Path, config: Path) -> None:
    overrides = ("data.batch_size=2", "regime.num_steps=4")
    finished_run, halves = tmp_path / "whole", tmp_path / "halves"
    two = start_two(finished_run, config, *overrides, before=print_weights)
    for attempt in two:
        assert attempt.code() == 0, attempt.read_output()
    step_lines = [
        [line for line in attempt.read_output().splitlines() if line.startswith("norm ")] for attempt in two
    ]
    assert len(set(step_lines[0])) == 4
    assert step_lines[0] == step_lines[1]
    for steps in (2, 4):
        for attempt in start_two(halves, config, "data.batch_size=2", f"regime.num_steps={steps}"):
            assert attempt.code() == 0, attempt.read_output()
    assert without_times(metrics(finished_run)) == without_times(metrics(halves))
    assert [record["clips"] for record in metrics(finished_run)] == [4] * 4
    states = checkpoint(finished_run, 4)
    assert [path for path in states if path.startswith(("trainer", "data_reader"))] == [
        "data_reader/dp_00.pt",
        "data_reader/dp_01.pt",
        "trainer/rank_00.pt",
        "trainer/rank_01.pt",
    ]
    readers = [states[f"data_reader/dp_0{rank}.pt"] for rank in range(2)]
    assert [reader["readers"][0]["depends_on"]["rank"] for reader in readers] == [0, 1]

    alone = run(finished_run, config, *overrides)
    assert alone.code() == 2
    assert "contains a run of 2 process(es), and this job has 1" in error_line(alone.read_output())


@pytest.mark.slow
def test_a_run_of_one_process_does_not_resume_with_two(out: Path, config: Path) -> None:
    for attempt in start_two(out, config, "regime.num_steps=20"):
        assert attempt.code() == 2
        assert "contains a run of 1 process(es), and this job has 2" in error_line(attempt.read_output())


@pytest.mark.slow
def test_an_interrupted_run_has_one_error_line(tmp_path: Path, config: Path) -> None:
    out = tmp_path / "out"
    output = tmp_path / "said"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "recipes.pretrain", *arguments(out, config, "regime.num_steps=400")],
            env={**os.environ, "MY_TOKEN": SECRET},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(out / "checkpoints/step_2", process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, output.read_text()
    finally:
        process.kill()
        process.wait()
    assert error_line(output.read_text()) == (
        "recipes.pretrain: interrupted; run the same command to resume from the last checkpoint"
    )
    assert not [path for path in out.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_run_is_initialised_with_exported_weights(out: Path, config: Path, tmp_path: Path) -> None:
    music, motion = tmp_path / "music.safetensors", tmp_path / "motion.safetensors"
    assert export([str(out), str(music), "--motion-side", str(motion)]) == 0
    initial_weights = [f"init.music={music}", f"init.motion={motion}"]
    attempt = run(tmp_path / "next", config, *initial_weights, "init.frozen=[music]", "regime.num_steps=2")
    assert attempt.code() == 0, attempt.read_output()
    validated, motion_again = tmp_path / "again.safetensors", tmp_path / "moved.safetensors"
    assert export([str(tmp_path / "next"), str(validated), "--motion-side", str(motion_again)]) == 0
    before, after = load_file(motion), load_file(motion_again)
    trained = [name for name in before if name.startswith("motion.")]
    assert trained
    assert not all(torch.equal(before[name], after[name]) for name in trained)
    with safe_open(music, "pt") as first, safe_open(validated, "pt") as second:
        assert set(first.keys()) == set(second.keys())
        for name in first.keys():  # noqa: SIM118
            torch.testing.assert_close(second.get_tensor(name), first.get_tensor(name), rtol=0, atol=0)
        first_provenance = json.loads(first.metadata()["provenance"])
        provenance = json.loads(second.metadata()["provenance"])
    init = provenance["details"]["init"]
    assert first_provenance["details"]["init"] is None
    assert provenance["training"].endswith(
        f", initialised with weights trained on {first_provenance['training']}"
    )
    assert init["music_sha256"] == hashlib.sha256(music.read_bytes()).hexdigest()
    assert init["details"] == first_provenance["details"]


@pytest.mark.slow
def test_invalid_initial_weights_are_refused(out: Path, config: Path, tmp_path: Path) -> None:
    music = tmp_path / "music.safetensors"
    assert export([str(out), str(music)]) == 0
    wider = "model.config_overrides.music.dim=32"
    for overrides, message in (
        ([f"init.music={tmp_path}/none.safetensors"], "no such file"),
        ([f"init.motion={music}"], "init: motion needs music"),
        ([f"init.music={music}", f"init.motion={music}"], "init: "),
        (["init.frozen=[music.tunk]"], "there is no module 'music.tunk'; choose from "),
        ([f"init.music={music}", wider, "model.config_overrides.motion.dim=32"], "does not match the model"),
    ):
        attempt = run(tmp_path / "next", config, *overrides)
        assert attempt.code() == 2, attempt.read_output()
        assert message in attempt.read_output()
        assert "Traceback" not in attempt.read_output()

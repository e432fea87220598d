"""A whole run: what it writes, what it exports, two processes, and what no file of it may hold."""

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
def whole(config: Path) -> tuple[Path, str]:
    """Folder of a whole run, and what it printed."""
    folder = config.parent / "out"
    attempt = start(folder, config, environment={"MY_TOKEN": SECRET, "SEEN_BY_ALL": "yes"})
    assert attempt.code() == 0, attempt.read_output()
    return folder, attempt.read_output()


@pytest.fixture(scope="module")
def out(whole: tuple[Path, str]) -> Path:
    return whole[0]


@pytest.mark.slow
def test_the_console_has_a_head_a_line_a_step_and_five_figures_a_validation(whole: tuple[Path, str]) -> None:
    out, printed = whole
    lines = [line for line in printed.splitlines() if line]
    assert lines[0].startswith(f"{out}: a new run, {STEPS} steps in all")
    assert lines[1] == "cpu: float32, 1 thread(s)"
    assert lines[2].endswith("corpus: 6 training pairs, 4 for validation")
    assert lines[3].startswith("step 1: loss ")
    recorded, validated = metrics(out), metrics(out, "valid")
    told = [line for line in lines[4:-2] if line.startswith("step ")]
    assert [line.partition(",")[0] for line in told] == [
        f"step {record['Step']}/{STEPS}: loss {record['Loss']:.3f}" for record in recorded
    ]
    assert all(" s a step" in line for line in told)
    found = [line for line in lines[4:-2] if line.startswith("validation after ")]
    assert [line.partition(",")[0] for line in found] == [
        f"validation after step {record['Step']}/{STEPS}: {DEFAULT_SCORE} {record[DEFAULT_SCORE]:.3f}"
        for record in validated
    ]
    # Their small corpus has no figure of the whole frames.
    assert all(line.count(",") == len(set(SCORES) & validated[0].keys()) - 1 for line in found)
    assert len(told) + len(found) == len(lines) - 6
    best = max(validated, key=lambda record: (record[DEFAULT_SCORE], record["Step"]))
    assert (
        lines[-2]
        == f"done: step {STEPS}; best by {DEFAULT_SCORE}: step {best['Step']}, {best[DEFAULT_SCORE]:.3f}"
    )
    assert lines[-1] == f"export it: python -m recipes.pretrain.export {out} FILE.safetensors"


def test_the_log_repeats_no_figure_of_a_validation(out: Path) -> None:
    log = (out / "logs/rank_0.log").read_text()
    assert "Starting validation after step 2" in log
    assert "tensor(" not in log
    assert "own_grids" not in log


def test_every_part_of_the_loss_is_recorded_at_every_step(out: Path) -> None:
    records = metrics(out)
    assert [record["Step"] for record in records] == list(range(1, STEPS + 1))
    wanted = {"Loss" if name == "loss" else name for name in LOSS_METRICS}
    wanted |= {"Gradient Norm", "grad_norm_music", "grad_norm_motion", "Learning Rate", "Data Epoch"}
    wanted |= {"clips", "audio_seconds", "total_skipped_steps", "data_wait_share"}
    for record in records:
        assert wanted <= record.keys()
        assert 0 < record["ecl_temperature"] < 1
        assert 2 <= record["clips"] <= 4
        assert record["total_skipped_steps"] == 0
        assert 0 <= record["data_wait_share"] <= 1
        assert -1 <= record["negative_cosine"] <= 1
        assert -1 <= record["positive_cosine"] <= 1
        # Of this very step; the temperatures' gradients are in the whole alone.
        parts = record["grad_norm_music"] ** 2 + record["grad_norm_motion"] ** 2
        assert 0 < parts <= 1.0001 * record["Gradient Norm"] ** 2
    # Four steps an epoch would be a run over the same data; this one goes through several.
    assert records[-1]["Data Epoch"] > 1


def test_it_is_validated_where_it_is_saved_and_the_best_and_the_last_are_kept(out: Path) -> None:
    records = metrics(out, "valid")
    assert [record["Step"] for record in records] == list(range(2, STEPS + 1, 2))
    assert all(0 <= record[DEFAULT_SCORE] <= 1 for record in records)
    kept = sorted(int(path.name[5:]) for path in (out / "checkpoints").glob("step_*"))
    # Of those with the same score the later one counts as the better.
    best = max(records, key=lambda record: (record[DEFAULT_SCORE], record["Step"]))["Step"]
    assert kept == sorted({best, STEPS - 2, STEPS})
    for step in kept:
        assert {path.split("/")[0] for path in checkpoint(out, step)} == {
            "trainer",
            "model",
            "optimizer",
            "data_reader",
        }


def test_the_folder_holds_configuration_logs_and_tensorboard(out: Path) -> None:
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
def test_the_music_tower_is_exported_with_where_it_comes_from(
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
    for wanted in (
        read_corpus(config.parent / "corpus").sha256,
        version("torch"),
        version("fairseq2"),
        "num_warmup",
    ):
        assert wanted in text


def test_a_finished_run_is_validated_anew_and_on_another_split(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate([str(out), "--step", "last", "--split", "dev"]) == 0
    again = json.loads((out / "figures-dev.json").read_text())
    recorded = metrics(out, "valid")[-1]
    extra = again.keys() - recorded.keys()
    assert extra == {name for name in again if name.startswith(("probe.log_mel", "probe.untrained_"))}
    assert {"probe.log_mel.beat_f", "probe.untrained_trunk.beat_f"} <= extra
    assert len(again) > 100
    for name, value in ((name, value) for name, value in again.items() if name not in extra):
        assert value == pytest.approx(recorded[name], abs=1e-6, nan_ok=True), name
    assert f"{DEFAULT_SCORE} " in capsys.readouterr().out
    # The small corpus has no test split.
    assert validate([str(out)]) == 2
    assert "no corpus has a test split" in capsys.readouterr().err
    assert not (out / "figures-test.json").exists()


@pytest.mark.slow
def test_a_run_that_is_done_is_left_as_it_is(out: Path, config: Path) -> None:
    before = [(out / f"metrics/{name}.jsonl").read_bytes() for name in ("train", "valid")]
    assert run(out, config).code() == 0
    assert before == [(out / f"metrics/{name}.jsonl").read_bytes() for name in ("train", "valid")]


@pytest.mark.slow
def test_a_run_can_go_on_for_longer(tmp_path: Path, config: Path) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    assert run(short, config, "regime.num_steps=2").code() == 0
    for folder in (short, long):
        assert run(folder, config, "regime.num_steps=4").code() == 0
    assert without_times(metrics(short)) == without_times(metrics(long))


def tell_weights() -> None:
    """Let the process say, at every step, the gradient's norm and what the weights are."""
    clip = GuardedModel.clip_grad_norm

    def told(self: GuardedModel, max_norm: float | None) -> torch.Tensor:
        norm = clip(self, max_norm)
        state = self.state_dict().values()
        digest = hashlib.sha256(b"".join(value.detach().numpy().tobytes() for value in state)).hexdigest()  # type: ignore[attr-defined]
        print(f"norm {float(norm)!r} weights {digest}", flush=True)
        return norm

    GuardedModel.clip_grad_norm = told  # type: ignore[method-assign]


@pytest.mark.slow
def test_two_processes_train_one_run_and_it_goes_on_with_two_only(tmp_path: Path, config: Path) -> None:
    overrides = ("data.batch_size=2", "regime.num_steps=4")
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    two = start_two(whole, config, *overrides, before=tell_weights)
    for attempt in two:
        assert attempt.code() == 0, attempt.read_output()
    told = [
        [line for line in attempt.read_output().splitlines() if line.startswith("norm ")] for attempt in two
    ]
    assert len(set(told[0])) == 4
    assert told[0] == told[1]
    for steps in (2, 4):
        for attempt in start_two(halves, config, "data.batch_size=2", f"regime.num_steps={steps}"):
            assert attempt.code() == 0, attempt.read_output()
    assert without_times(metrics(whole)) == without_times(metrics(halves))
    assert [record["clips"] for record in metrics(whole)] == [4] * 4
    states = checkpoint(whole, 4)
    assert [path for path in states if path.startswith(("trainer", "data_reader"))] == [
        "data_reader/dp_00.pt",
        "data_reader/dp_01.pt",
        "trainer/rank_00.pt",
        "trainer/rank_01.pt",
    ]
    readers = [states[f"data_reader/dp_0{rank}.pt"] for rank in range(2)]
    assert [reader["readers"][0]["depends_on"]["rank"] for reader in readers] == [0, 1]

    alone = run(whole, config, *overrides)
    assert alone.code() == 2
    assert "contains a run of 2 process(es), and this job has 1" in error_line(alone.read_output())


@pytest.mark.slow
def test_a_run_of_one_process_does_not_go_on_with_two(out: Path, config: Path) -> None:
    for attempt in start_two(out, config, "regime.num_steps=20"):
        assert attempt.code() == 2
        assert "contains a run of 1 process(es), and this job has 2" in error_line(attempt.read_output())


@pytest.mark.slow
def test_from_a_shell_a_run_is_interrupted_in_one_line(tmp_path: Path, config: Path) -> None:
    out = tmp_path / "out"
    said = tmp_path / "said"
    with said.open("wb") as file:
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
        assert process.wait(30) == 130, said.read_text()
    finally:
        process.kill()
        process.wait()
    assert error_line(said.read_text()) == (
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
def test_a_run_begins_with_exported_weights_and_says_so(out: Path, config: Path, tmp_path: Path) -> None:
    music, motion = tmp_path / "music.safetensors", tmp_path / "motion.safetensors"
    assert export([str(out), str(music), "--motion-side", str(motion)]) == 0
    begin = [f"init.music={music}", f"init.motion={motion}"]
    attempt = run(tmp_path / "next", config, *begin, "init.frozen=[music]", "regime.num_steps=2")
    assert attempt.code() == 0, attempt.read_output()
    again, moved = tmp_path / "again.safetensors", tmp_path / "moved.safetensors"
    assert export([str(tmp_path / "next"), str(again), "--motion-side", str(moved)]) == 0
    before, after = load_file(motion), load_file(moved)
    trained = [name for name in before if name.startswith("motion.")]
    assert trained
    assert not all(torch.equal(before[name], after[name]) for name in trained)
    with safe_open(music, "pt") as first, safe_open(again, "pt") as second:
        assert set(first.keys()) == set(second.keys())
        for name in first.keys():  # noqa: SIM118
            torch.testing.assert_close(second.get_tensor(name), first.get_tensor(name), rtol=0, atol=0)
        then = json.loads(first.metadata()["provenance"])
        again_made_of = json.loads(second.metadata()["provenance"])
    begun = again_made_of["details"]["init"]
    assert then["details"]["init"] is None
    assert again_made_of["training"].endswith(f", initialised with weights trained on {then['training']}")
    assert begun["music_sha256"] == hashlib.sha256(music.read_bytes()).hexdigest()
    assert begun["details"] == then["details"]


@pytest.mark.slow
def test_weights_that_a_run_cannot_begin_with_are_named(out: Path, config: Path, tmp_path: Path) -> None:
    music = tmp_path / "music.safetensors"
    assert export([str(out), str(music)]) == 0
    wider = "model.config_overrides.music.dim=32"
    for overrides, words in (
        ([f"init.music={tmp_path}/none.safetensors"], "no such file"),
        ([f"init.motion={music}"], "init: motion needs music"),
        ([f"init.music={music}", f"init.motion={music}"], "init: "),
        (["init.frozen=[music.tunk]"], "there is no module 'music.tunk'; choose from "),
        ([f"init.music={music}", wider, "model.config_overrides.motion.dim=32"], "does not match the model"),
    ):
        attempt = run(tmp_path / "next", config, *overrides)
        assert attempt.code() == 2, attempt.read_output()
        assert words in attempt.read_output()
        assert "Traceback" not in attempt.read_output()

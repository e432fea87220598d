"""The command run_downstream.py: its extensions of S3PRL's command, and the restored process state."""

from __future__ import annotations

import argparse
import builtins
import json
import logging
import os
import random
import re
import resource
import signal
import subprocess
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.run_downstream import main
from recipes.downstream.s3prl_runner import registration, request
from recipes.downstream.s3prl_runner.options import parse, parser
from recipes.downstream.s3prl_runner.registration import own_tasks, packaged_config, s3prl_tasks
from recipes.downstream.s3prl_runner.request import RUNNER_KEYS
from recipes.downstream.s3prl_runner.run_files import (
    checkpoint_classes,
    latest_checkpoint,
    read_checkpoint_options,
)
from tests.s3prl_corpora import write_clip

ROOT = Path(__file__).parents[3]
PACKAGED = sorted(
    [path.parent.name for path in registration.TASKS.glob("*/config.yaml")]
    + [path.stem for path in registration.CONFIGS.glob("*.yaml")]
)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two loud and two quiet clips."""
    folder = tmp_path / "clips"
    for number in range(4):
        write_clip(folder / f"{'loud' if number % 2 else 'quiet'}-{number}.wav", seed=number)
    return folder


@pytest.fixture
def train(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that train the tests' own task ``loudness`` for two steps, from any directory."""
    monkeypatch.setattr(registration, "TASKS", ROOT / "tests" / "tasks")
    monkeypatch.chdir(tmp_path)
    options = ["-m", "train", "-u", "fbank", "-d", "loudness", "-p", "exp"]
    return [*options, "-o", f"config.downstream_expert.datarc.root={clips}"]


def also(options: list[str], *overrides: str) -> list[str]:
    """More overrides; ``-o`` is the last option."""
    return [*options[:-1], ",,".join([options[-1], *overrides])]


def read(checkpoint: str | Path) -> dict[str, Any]:
    with checkpoint_classes():
        states: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return states


def log(expdir: str = "exp") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(expdir) / "log.jsonl").read_text().splitlines()]


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error message, which is one line without a traceback."""
    stderr = capsys.readouterr().err
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("run_downstream.py: ")]
    return line


class TestOurTasksWithAnyUpstream:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "upstream", ["motionbeat", "motionbeat_untrained", "fbank", "mfcc", "mel", "linear"]
    )
    def test_trains_and_evaluates(self, upstream: str, train: list[str]) -> None:
        train[train.index("fbank")] = upstream
        assert main(train) == 0
        assert [(r["split"], r["step"]) for r in log()] == [("train", 1), ("train", 2), ("test", 2)]
        assert read("exp/states-2.ckpt")["Step"] == 2
        assert main(["-m", "evaluate", "-e", "exp"]) == 0
        assert log()[-1]["loss"] == pytest.approx(log()[-2]["loss"], abs=1e-6)

    def test_a_resumed_training_continues_at_its_step(self, train: list[str]) -> None:
        assert main(train) == 0
        before = read("exp/states-2.ckpt")
        assert main(["-m", "train", "-e", "exp", "-o", "config.runner.total_steps=4"]) == 0
        assert [r["step"] for r in log() if r["split"] == "train"] == [1, 2, 3, 4]
        after = read("exp/states-4.ckpt")
        assert int(before["Downstream"]["steps"]) == 2
        assert int(after["Downstream"]["steps"]) == 4
        assert {int(state["step"]) for state in after["Optimizer"]["state"].values()} == {4}
        assert not Path("exp/states-2.ckpt").exists()

    def test_an_uninterrupted_training_equals_a_resumed_one(self, train: list[str]) -> None:
        assert main(also(train, "config.runner.total_steps=4")) == 0
        whole = read("exp/states-4.ckpt")["Downstream"]
        train[train.index("exp")] = "parts"
        assert main(train) == 0
        assert main(["-m", "train", "-e", "parts", "-o", "config.runner.total_steps=4"]) == 0
        parts = read("parts/states-4.ckpt")["Downstream"]
        for name, tensor in whole.items():
            torch.testing.assert_close(parts[name], tensor)

    def test_auto_resume(self, train: list[str]) -> None:
        assert main([*train, "-a"]) == 0
        assert main([*also(train, "config.runner.total_steps=3", "config.runner.save_step=1"), "-a"]) == 0
        assert [r["step"] for r in log() if r["split"] == "train"] == [1, 2, 3]

    def test_an_optimizer_with_a_schedule_is_resumed(self, train: list[str]) -> None:
        train = also(train, "config.optimizer.name=BertAdam_with_schedule")
        assert main(train) == 0
        groups = read("exp/states-2.ckpt")["Optimizer"]["param_groups"]
        assert {type(group["schedule"]).__module__ for group in groups} == {"s3prl.optimizers"}
        assert main(["-m", "train", "-e", "exp", "-o", "config.runner.total_steps=4"]) == 0

    def test_fine_tuning_changes_and_saves_the_upstream(self, train: list[str]) -> None:
        from motionbeat_upstream.hubconf import motionbeat

        train[train.index("fbank")] = "motionbeat"
        assert main(["-f", *train]) == 0
        tuned = read("exp/states-2.ckpt")["Upstream"]
        fresh = motionbeat().state_dict()
        assert set(tuned) == set(fresh)
        assert any(not torch.equal(tuned[name], fresh[name]) for name in fresh)
        assert main(["-m", "evaluate", "-e", "exp"]) == 0

    @pytest.mark.parametrize(("key", "layer"), [("hidden_states", 0), ("last_hidden_state", None)])
    def test_selects_features_and_layers(self, key: str, layer: int | None, train: list[str]) -> None:
        train[train.index("fbank")] = "motionbeat"
        assert main(["-s", key, *([] if layer is None else ["-l", str(layer)]), *train]) == 0
        assert read("exp/states-2.ckpt")["Args"].upstream_layer_selection == layer
        assert "weights" not in read("exp/states-2.ckpt")["Featurizer"]

    def test_a_missing_layer_is_refused(self, train: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        train[train.index("fbank")] = "motionbeat"
        assert main(["-l", "99", *train]) == 2
        assert "-l 99: motionbeat has no such layer in hidden_states" in error_line(capsys)

    @pytest.mark.parametrize(
        "key", ["beat_tokens", "embedding", "onset_envelope", "pulse_activation", "grids", "hiden_states"]
    )
    def test_features_without_a_frame_rate_are_refused(
        self, key: str, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        train[train.index("fbank")] = "motionbeat"
        assert main(["-s", key, *train]) == 2
        assert error_line(capsys) == (
            f"run_downstream.py: error: -s {key}: motionbeat has no such features at a fixed frame rate; "
            f"there are hidden_states, last_hidden_state"
        )
        assert not Path("exp").exists()


class TestConfiguration:
    def test_the_working_directory_comes_first(self, train: list[str]) -> None:
        config = yaml.safe_load((ROOT / "tests" / "tasks" / "loudness" / "config.yaml").read_text())
        config["downstream_expert"]["modelrc"]["hidden"] = 5
        Path("downstream/loudness").mkdir(parents=True)
        Path("downstream/loudness/config.yaml").write_text(yaml.safe_dump(config))
        assert main(train) == 0
        assert read("exp/states-2.ckpt")["Downstream"]["probe.0.weight"].shape[0] == 5

    @pytest.mark.parametrize("task", PACKAGED)
    def test_packaged_configurations_are_complete(self, task: str) -> None:
        path = packaged_config(task)
        assert path is not None
        config = yaml.safe_load(path.read_text())
        assert set(RUNNER_KEYS) <= set(config["runner"])
        assert "optimizer" in config
        assert "downstream_expert" in config
        assert task in own_tasks() + s3prl_tasks()

    @pytest.mark.parametrize("task", ["speech_commands", "fluent_commands", "emotion", "voxceleb1"])
    def test_the_error_names_the_missing_data(
        self, task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["-m", "train", "-u", "fbank", "-d", task, "-p", str(tmp_path / "exp")]
        assert main(options) == 2
        line = error_line(capsys)
        assert f"-d {task}: needs the path of its data; give -o" in line
        override = line.rpartition('-o "')[2].rstrip('"').replace("=PATH", f"={tmp_path / 'nowhere'}")
        assert main([*options, "-o", override]) == 2
        assert f"{tmp_path / 'nowhere'}: no such file or folder" in error_line(capsys)
        assert not (tmp_path / "exp").exists()

    def test_no_task_of_ours_has_the_name_of_one_of_s3prl(self) -> None:
        assert s3prl_tasks()
        assert not set(own_tasks()) & set(s3prl_tasks())

    def test_a_task_without_a_packaged_configuration_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["-m", "train", "-u", "fbank", "-d", "atis", "-p", str(tmp_path / "exp")]) == 2
        assert "give one with -c" in error_line(capsys)


def process_state() -> dict[str, object]:
    import s3prl.run_downstream as command
    from s3prl import downstream, hub
    from s3prl.downstream import runner

    cudnn = torch.backends.cudnn
    return {
        "isinstance": builtins.isinstance,
        "argv": list(sys.argv),
        "path": list(sys.path),
        "modules": {name for name in sys.modules if "loudness" in name},
        "search path": list(downstream.__path__),
        "tasks": {name for name in vars(downstream) if name == "loudness"},
        "upstreams": dict(vars(hub)),
        "parser, runner": (command.argparse, command.Runner),
        "saving": (torch.save, runner.os),
        "safe classes": set(torch.serialization.get_safe_globals()),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
        "cudnn": (cudnn.enabled, cudnn.deterministic, cudnn.benchmark),
        "hub folder": torch.hub.get_dir(),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "warnings": list(warnings.filters),
        "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),  # type: ignore[index]  # noqa: NPY002
    }


class TestProcessState:
    @pytest.mark.parametrize("end", [None, "RuntimeError", "KeyboardInterrupt", "SystemExit"])
    def test_is_restored_after_any_exit(
        self, end: str | None, train: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        # As in a process without registered upstreams and logging handlers.
        from s3prl import hub

        from recipes.downstream.s3prl_runner.checked_runner import CheckedRunner

        for name in [n for n in vars(hub) if n.startswith("motionbeat")]:
            monkeypatch.delattr(hub, name)
        monkeypatch.setattr(logging.root, "handlers", [])
        within: dict[str, object] = {}
        plain_train = CheckedRunner.train

        def watched_train(self: CheckedRunner) -> None:
            within.update(process_state())
            plain_train(self)

        monkeypatch.setattr(CheckedRunner, "train", watched_train)
        if end is not None:
            train = also(train, f"config.downstream_expert.fails={{'at_step': 1, 'error': '{end}'}}")
        before = process_state()
        try:
            code = main([*train, "--disable_cudnn", "--cache_dir", str(tmp_path / "hub")])
        except (RuntimeError, SystemExit) as error:
            assert type(error).__name__ == end  # noqa: PT017
        else:
            assert code == {None: 0, "KeyboardInterrupt": 130}[end]
        after = process_state()
        assert {key for key in before if before[key] != after[key]} == set()
        # The run changed them.
        assert set(before) - {key for key in before if before[key] != within[key]} == {"argv", "path"}

    def test_is_restored_after_an_error(self, train: list[str]) -> None:
        before = process_state()
        assert main([*train, "--device", "toaster"]) == 2
        assert process_state() == before

    def test_registered_upstreams_are_kept(self, train: list[str]) -> None:
        from s3prl import hub

        from motionbeat_upstream.register import register

        register()
        entry = hub.motionbeat
        assert main(train) == 0
        assert hub.motionbeat is entry


ON_CLIPS = "-o config.downstream_expert.datarc.root=clips"

WHOLE = f"-m train -u fbank -d loudness -p exp {ON_CLIPS}"

UNMET = f"-d unmet -c {ROOT}/tests/tasks/loudness/config.yaml {ON_CLIPS}"

ERRORS = {
    "-m train -u motionbaet -d loudness -p exp": "-u motionbaet: no such upstream; did you mean motionbeat",
    "-m train -u Path -d loudness -p exp": "-u Path: no such upstream",
    "-m train -u fbank -d loudnes -p exp": "-d loudnes: no such task; did you mean loudness",
    "-m train -u fbank -d zzz -p exp": "-d zzz: no such task; there are loudness",
    f"-m train -u fbank -p exp {UNMET}": "-d unmet: needs the Python module 'no_such_package'",
    "-m train -u motionbeat_local -d loudness -p exp": "give its path or URL with -k",
    "-m train -u motionbeat_local -k a.safetensors -d loudness -p exp": "-k a.safetensors: no such file",
    "-m train": "missing: -u UPSTREAM",
    "-m train -u fbank -d loudness": "missing: -p EXPDIR",
    "-m tain": "invalid choice: 'tain'",
    "-m train --frobnicate": "unrecognized arguments: --frobnicate",
    "": "required: -m/--mode",
    "-m train -u fbank -d loudness -p exp -c no.yaml": "-c no.yaml: no such file",
    "-m train -e nowhere": "-e nowhere: no such file or folder",
    "-m evaluate -e clips": "-e clips: contains no checkpoint",
    "-m evaluate -e clips/loud-1.wav": "clips/loud-1.wav: not a complete checkpoint",
    f"{WHOLE} --device cuda": "--device cuda: this machine has no usable CUDA",
    f"{WHOLE} --device toaster": "--device toaster: not a device",
    f"{WHOLE} --local-rank=0": "needs CUDA",
    "-m inference -e exp -t no.wav": "-t no.wav: no such file",
}


class TestErrors:
    @pytest.mark.parametrize("options", ERRORS)
    @pytest.mark.usefixtures("train")
    def test_is_one_line_with_exit_code_2(
        self, options: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert main(options.split()) == 2
        assert ERRORS[options] in error_line(capsys)
        assert not Path("exp").exists()

    @pytest.mark.parametrize(
        "override",
        ["config.runner.total_steps", "runner.total_steps=3", "config=3", "config.a=b=c", "args.a.b=3"],
    )
    def test_an_invalid_override(
        self, override: str, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(also(train, override)) == 2
        assert f"-o {override!r}: expected config.KEY=VALUE" in error_line(capsys)

    def test_an_override_below_a_value(self, train: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(also(train, "config.runner.save_step.x=3")) == 2
        assert "-o 'config.runner.save_step.x=3': save_step is 2, expected a section" in error_line(capsys)

    def test_an_incomplete_configuration(self, train: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        Path("my.yaml").write_text("runner: {total_steps: 3}\ndownstream_expert: {}\n")
        assert main(["-c", "my.yaml", *train]) == 2
        line = error_line(capsys)
        assert "my.yaml: lacks" in line
        assert "runner.save_step" in line
        assert "optimizer" in line

    @pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n"])
    def test_a_configuration_that_is_not_a_mapping(
        self, text: str, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("my.yaml").write_text(text)
        assert main(["-c", "my.yaml", *train]) == 2
        assert "my.yaml" in error_line(capsys)

    @pytest.mark.parametrize(
        "override", ["total_steps=many", "save_step=0", "gradient_clipping=-1.0", "eval_dataloaders=dev"]
    )
    def test_invalid_values_of_the_runner(
        self, override: str, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(also(train, f"config.runner.{override}")) == 2
        key, _, value = override.partition("=")
        assert re.search(rf"runner\.{key} is '?{value}'?; expected numbers above 0", error_line(capsys))

    def test_an_error_of_the_task(
        self, train: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        assert main([*train[:-1], f"config.downstream_expert.datarc.root={tmp_path / 'empty'}"]) == 2
        assert (
            error_line(capsys)
            == f"run_downstream.py: error: {tmp_path / 'empty'}: holds no .wav; put some there"
        )

    def test_an_error_in_a_worker_process(
        self, train: list[str], capsys: pytest.CaptureFixture[str], clips: Path
    ) -> None:
        broken = [
            "config.downstream_expert.datarc.num_workers=1",
            "config.downstream_expert.fails.in_worker=True",
        ]
        assert main(also(train, *broken)) == 2
        assert (
            error_line(capsys)
            == f"run_downstream.py: error: {clips / 'loud-1.wav'}: broken, as the test asked"
        )

    @pytest.mark.slow
    def test_an_error_of_the_upstream(self, train: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        Path("weights.safetensors").write_bytes(b"no weights")
        train[train.index("fbank")] = "motionbeat_local"
        assert main(["-k", "weights.safetensors", *train]) == 2
        assert "weights.safetensors: not a complete safetensors file" in error_line(capsys)

    @pytest.mark.parametrize("place", ["clips/loud-1.wav", "clips/loud-1.wav/exp", "/proc/exp"])
    def test_a_folder_that_cannot_be_created(
        self, place: str, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        train[train.index("exp")] = place
        assert main(train) == 2
        assert place in error_line(capsys)

    def test_a_task_without_inference(
        self, train: list[str], capsys: pytest.CaptureFixture[str], clips: Path
    ) -> None:
        assert main(train) == 0
        capsys.readouterr()
        assert main(["-m", "inference", "-e", "exp", "-t", str(clips / "loud-1.wav")]) == 2
        assert "task loudness has none" in error_line(capsys)

    def test_without_s3prl(
        self, train: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "s3prl.run_downstream", None)
        assert main(train) == 2
        assert "pip install '.[s3prl]'" in error_line(capsys)

    @pytest.mark.parametrize("error", ["RuntimeError", "ValueError", "KeyError", "AssertionError"])
    def test_a_program_error_keeps_its_traceback(self, error: str, train: list[str]) -> None:
        with pytest.raises(getattr(builtins, error), match="as the test asked"):
            main(also(train, f"config.downstream_expert.fails={{'at_step': 1, 'error': '{error}'}}"))


class TestCheckpoints:
    @given(steps=st.sets(st.integers(0, 10**9), min_size=1, max_size=8))
    def test_the_latest_has_the_highest_step(
        self, steps: set[int], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("exp")
        for step in steps:
            (folder / f"states-{step}.ckpt").touch()
        (folder / "dev-best.ckpt").touch()
        assert latest_checkpoint(folder).name == f"states-{max(steps)}.ckpt"

    def test_foreign_code_is_not_run(self, train: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(train) == 0
        capsys.readouterr()
        states = read("exp/states-2.ckpt")
        torch.save({**states, "Extra": _Payload("pwned")}, "exp/states-3.ckpt")
        assert main(["-m", "evaluate", "-e", "exp"]) == 2
        line = error_line(capsys)
        assert "exp/states-3.ckpt: contains objects that S3PRL's checkpoints do not" in line
        assert "system" in line
        assert not Path("pwned").exists()
        # The payload works if it is loaded.
        torch.load("exp/states-3.ckpt", weights_only=False)
        assert Path("pwned").exists()

    @pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
    def test_a_truncated_checkpoint_is_refused(
        self, share: float, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(train) == 0
        capsys.readouterr()
        whole = Path("exp/states-2.ckpt").read_bytes()
        Path("exp/states-2.ckpt").write_bytes(whole[: int(share * len(whole))])
        assert main(["-m", "train", "-e", "exp"]) == 2
        assert "exp/states-2.ckpt: not a complete checkpoint" in error_line(capsys)

    @given(content=st.binary(max_size=300))
    def test_arbitrary_bytes_are_refused(
        self, content: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("exp") / "states-1.ckpt"
        path.write_bytes(content)
        with pytest.raises(
            MotionBeatError, match=r"states-1.ckpt: not a complete checkpoint|not a checkpoint of"
        ):
            read_checkpoint_options(path)

    def test_a_checkpoint_of_another_program_is_refused(
        self, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        torch.save({"weights": torch.zeros(2)}, "other.ckpt")
        assert main(["-m", "evaluate", "-e", "other.ckpt"]) == 2
        assert "other.ckpt: not a checkpoint of run_downstream.py" in error_line(capsys)

    def test_a_full_disk_leaves_the_previous_checkpoint(
        self, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Also with ``max_keep: 1``, where S3PRL removes the old checkpoint before it writes the new one."""
        wide = also(train, "config.downstream_expert.modelrc.hidden=2000")
        assert main(wide) == 0
        capsys.readouterr()
        with _files_at_most(200_000):
            assert main(["-m", "train", "-e", "exp", "-o", "config.runner.total_steps=4"]) == 2
        line = error_line(capsys)
        assert "exp/states-4.ckpt: could not be written" in line
        assert "-e exp" in line
        assert [path.name for path in Path("exp").glob("*.ckpt")] == ["states-2.ckpt"]
        assert not list(Path("exp").glob(".*"))
        assert main(["-m", "train", "-e", "exp", "-o", "config.runner.total_steps=4"]) == 0
        assert [path.name for path in Path("exp").glob("*.ckpt")] == ["states-4.ckpt"]

    def test_max_keep(self, train: list[str]) -> None:
        often = ["config.runner.total_steps=5", "config.runner.save_step=1", "config.runner.max_keep=2"]
        assert main(also(train, *often)) == 0
        assert {path.name for path in Path("exp").glob("*.ckpt")} == {"states-4.ckpt", "states-5.ckpt"}

    def test_results_in_another_folder_are_reported(
        self, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(train) == 0
        Path("exp").rename("moved")
        capsys.readouterr()
        assert main(["-m", "evaluate", "-e", "moved"]) == 0
        assert "results go to exp, as at the start of the training; -o args.expdir=moved" in error_line(
            capsys
        )
        assert main(["-m", "evaluate", "-e", "moved", "-o", "args.expdir=moved"]) == 0
        assert "results go" not in capsys.readouterr().err


class TestOverwrite:
    @pytest.mark.parametrize(
        ("upstream", "extra", "remedy"),
        [
            (
                "fbank",
                [],
                "contains a training of -u fbank -d loudness; -a resumes it, --overwrite replaces it",
            ),
            ("mfcc", [], "contains a training of -u fbank -d loudness; --overwrite replaces it"),
            (
                "mfcc",
                ["-a"],
                "-u mfcc: exp/states-2.ckpt was trained with -u fbank; leave -u out to resume it",
            ),
            ("mfcc", ["-e", "exp"], "-u mfcc: exp/states-2.ckpt was trained with -u fbank; leave -u out"),
        ],
    )
    def test_a_second_training_in_the_folder_is_refused(
        self,
        upstream: str,
        extra: list[str],
        remedy: str,
        train: list[str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert main(train) == 0
        before = contents("exp")
        train[train.index("fbank")] = upstream
        assert main([*extra, *train]) == 2
        assert remedy in error_line(capsys)
        assert contents("exp") == before

    def test_a_second_training_with_the_same_name_is_refused(
        self, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        named = ["-n", "first", *train[:6], *train[8:]]
        assert main(named) == 0
        assert main(named) == 2
        assert "result/downstream/first: contains a training of" in error_line(capsys)

    def test_overwrite_replaces_files_after_the_first_checkpoint(
        self, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(also(train, "config.runner.total_steps=4")) == 0
        before = contents("exp", "*.ckpt")
        failing = also(train, "config.downstream_expert.fails={'at_step': 0, 'error': 'KeyboardInterrupt'}")
        assert main(["--overwrite", *failing]) == 130
        assert contents("exp", "*.ckpt") == before
        assert "no checkpoint yet" in error_line(capsys)
        (Path("exp") / "scores-test.jsonl").write_text("of the earlier run")
        (Path("exp") / "notes.txt").write_text("the user's")
        assert main(["--overwrite", *train]) == 0
        assert [path.name for path in Path("exp").glob("*.ckpt")] == ["states-2.ckpt"]
        assert not Path("exp/scores-test.jsonl").exists()
        assert Path("exp/notes.txt").exists()

    def test_a_checkpoint_of_the_folder_may_be_evaluated_there(self, train: list[str]) -> None:
        assert main(train) == 0
        train[train.index("train")] = "evaluate"
        assert main(["-i", "exp/states-2.ckpt", *train]) == 0

    def test_a_folder_without_a_checkpoint_can_be_used(self, train: list[str]) -> None:
        failing = also(train, "config.downstream_expert.fails={'at_step': 0, 'error': 'KeyboardInterrupt'}")
        assert main(failing) == 130
        assert main(train) == 0

    @pytest.mark.parametrize("place", ["exp", "result/deep/exp"])
    def test_an_error_of_the_task_leaves_no_files(
        self, place: str, train: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "empty").mkdir()
        train[train.index("exp")] = place
        before = sorted(tmp_path.rglob("*"))
        assert main([*train[:-1], "config.downstream_expert.datarc.root=empty"]) == 2
        assert "empty: holds no .wav" in error_line(capsys)
        assert main(also(train, "config.downstream_expert.fails.in_worker=True")) == 2
        assert sorted(tmp_path.rglob("*")) == before


def contents(folder: str, pattern: str = "*") -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob(pattern) if path.is_file()}


class TestInterrupts:
    @pytest.mark.parametrize(
        ("step", "hint"), [(1, "no checkpoint yet"), (3, "run_downstream.py -m train -e exp")]
    )
    def test_the_message_tells_how_to_resume(
        self, step: int, hint: str, train: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        failing = f"config.downstream_expert.fails={{'at_step': {step}, 'error': 'KeyboardInterrupt'}}"
        assert main(also(train, "config.runner.total_steps=6", failing)) == 130
        assert hint in error_line(capsys)

    @pytest.mark.slow
    def test_ctrl_c(self, train: list[str], tmp_path: Path) -> None:
        """SIGINT to the command and its workers, as from a terminal."""
        long = also(train, "config.runner.total_steps=1000000", "config.runner.eval_step=1000000")
        with subprocess.Popen(
            [*_uninstalled_command(), *also(long, "config.downstream_expert.datarc.num_workers=1")],
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        ) as process:
            try:
                while not any((tmp_path / "exp").glob("states-*.ckpt")):
                    assert process.poll() is None
            finally:
                os.killpg(process.pid, signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130, stderr
        assert "Traceback" not in stderr
        assert "interrupted; resume with: run_downstream.py -m train -e exp" in stderr
        (checkpoint,) = Path("exp").glob("*.ckpt")
        done = read(checkpoint)["Step"]
        assert main(["-m", "train", "-e", "exp", "-o", f"config.runner.total_steps={done + 1}"]) == 0
        assert [r["step"] for r in log() if r["split"] == "train"][-1] == done + 1


class TestHelp:
    def test_contains_s3prl_s_options_and_ours(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as end:
            main(["-h"])
        assert end.value.code == 0
        text = capsys.readouterr().out
        for option in ("--mode", "--upstream_trainable", "--push_to_hf_hub", "motionbeat_local -k FILE"):
            assert option in text

    def test_without_installing_and_from_anywhere(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [*_uninstalled_command(), "-m", "train", "-u", "fbank", "-d", "nothing", "-p", "exp"],
            cwd=tmp_path,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("run_downstream.py: error: -d nothing: no such task")


class TestOptions:
    def test_are_those_of_s3prl_and_overwrite(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import s3prl.run_downstream as command

        class Recording(argparse.ArgumentParser):
            def parse_args(self, *_: object) -> Namespace:  # type: ignore[override]
                theirs.update(described(self))
                raise KeyboardInterrupt

        theirs: dict[str, object] = {}
        monkeypatch.setattr(command, "argparse", Namespace(ArgumentParser=Recording))
        with pytest.raises(KeyboardInterrupt):
            command.get_downstream_args()
        ours = described(parser())
        assert ours.pop("overwrite") == ({"--overwrite"}, 0, False, None, None)
        for name in ("feature_cache", "feature_cache_gigabytes", "clip_by_clip"):
            del ours[name]
        # S3PRL's command fails without CUDA; ours detects it.
        assert theirs.pop("device") == ({"--device"}, None, "cuda", None, None)
        assert ours.pop("device") == ({"--device"}, None, None, None, None)
        # torch's launchers pass it with a dash.
        assert ours.pop("local_rank") == ({"--local_rank", "--local-rank"}, None, None, None, int)
        assert theirs.pop("local_rank") == ({"--local_rank"}, None, None, None, int)
        assert ours == theirs

    def test_upstreams_are_those_of_the_hub_without_importing_it(self) -> None:
        with registration.registered():
            from s3prl import hub

            known = {name for name in hub.options() if not isinstance(getattr(hub, name), type)}
        # The hub also lists a helper that one of its files imports.
        assert set(registration.upstreams()) == known - {"load_and_convert_fairseq_ckpt"}


def described(parser: argparse.ArgumentParser) -> dict[str, object]:
    return {
        action.dest: (set(action.option_strings), action.nargs, action.default, action.choices, action.type)
        for action in parser._actions
        if action.dest != "help"
    }


class TestDistributed:
    """Without CUDA: the rank is passed to S3PRL from every launcher."""

    @pytest.mark.parametrize("argv", [["--local_rank", "1"], ["--local-rank=1"], ["--local-rank", "1"]])
    def test_rank_as_an_option(self, argv: list[str]) -> None:
        assert _parsed(argv).local_rank == 1

    def test_rank_from_torchrun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert _parsed([]).local_rank is None
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert _parsed([]).local_rank is None
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
        assert _parsed([]).local_rank == 1


def _parsed(argv: list[str]) -> Namespace:
    options = parse(["-m", "train", *argv])[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request, "_check_device", lambda options: None)
        patch.setattr(request, "_import_task", lambda name: SimpleNamespace(DownstreamExpert=object))
        request.check_environment(request.Request(options, "loudness", Path("exp"), {}, {}))
    return options


class _Payload:
    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.name}",)


@contextmanager
def _files_at_most(size: int) -> Iterator[None]:
    """Limit the size of files in bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _uninstalled_command() -> list[str]:
    tasks = ROOT / "tests" / "tasks"
    code = (
        "import sys, pathlib; from recipes.downstream import run_downstream; "
        "from recipes.downstream.s3prl_runner import registration; "
        f"registration.TASKS = pathlib.Path({str(tasks)!r}); sys.exit(run_downstream.main())"
    )
    return [sys.executable, "-c", code]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}

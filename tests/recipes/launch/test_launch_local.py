"""The launcher on this machine: processes in the background, or one in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from recipes.launch.__main__ import main
from tests.launch_recipe.request import Request
from tests.launched import (
    assert_resumed,
    assert_undisturbed,
    last_step,
    launch,
    processes_of,
    read_metrics,
    record,
    state,
    wait,
    wait_until_over,
)

pytestmark = pytest.mark.slow

HERE = ("--cluster", "local")


def controller(folder: Path) -> psutil.Process:
    """submitit's process that controls the tasks of a launch."""
    return psutil.Process(int(record(folder).runs[0].job))


def test_two_processes_told_that_time_is_up_go_on_from_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    request = Request(folder, steps=30, every=10)
    config = ("steps=30", "every=10", "step_seconds=0.1")
    assert launch(folder, *HERE, "--tasks-per-node", "2", config=config) == 0
    wait(lambda: last_step(folder) > 12, "a step after the first checkpoint")
    assert state(folder) == "RUNNING"
    for task in controller(folder).children():
        task.send_signal(signal.SIGUSR2)
    assert wait_until_over(folder) == "FINISHED"
    assert_resumed(folder, request)
    assert_undisturbed(folder, request, world=2)
    wait(lambda: processes_of(folder) == [], "the end of all processes")


def test_runs_take_turns_and_one_that_fails_does_not_keep_the_next_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text("{exit_code: 2}")
    (tmp_path / "good.yaml").write_text("{steps: 6}")
    folder = tmp_path / "runs"
    sweep = f"{tmp_path / 'bad.yaml'},{tmp_path / 'good.yaml'}"
    assert launch(folder, *HERE, "--sweep", sweep) == 0
    assert state(folder, "good") == "WAITING"
    assert wait_until_over(folder, "good") == "FINISHED"
    assert state(folder, "bad") == "FAILED (the recipe refused its options)"
    assert_undisturbed(folder / "good", Request(folder, steps=6), world=1)
    wait(lambda: processes_of(folder) == [], "the end of the controller")
    assert main(["watch", str(folder)]) == 1
    assert "the recipe refused its options" in capsys.readouterr().out


def test_a_training_ends_by_stop_and_not_by_signals_for_its_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ("steps=100000", "step_seconds=0.1")
    assert launch(tmp_path, *HERE, config=config) == 0
    wait(lambda: last_step(tmp_path) > 0, "a first step")
    # SLURM sends these to every process of a job; only the task heeds them.
    for number in (signal.SIGTERM, signal.SIGUSR2):
        os.kill(read_metrics(tmp_path)[-1]["Pid"], number)
    sent = last_step(tmp_path)
    wait(lambda: last_step(tmp_path) > sent + 2, "going on in spite of TERM and USR2")

    assert launch(tmp_path, *HERE, config=config) == 2
    assert "stop it with" in capsys.readouterr().err
    assert main(["stop", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "stopped: run\n"
    assert state(tmp_path) == "STOPPED"
    wait(lambda: processes_of(tmp_path) == [], "the end of all processes", 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_killed_controller_takes_the_training_with_it(tmp_path: Path) -> None:
    assert launch(tmp_path, *HERE, config=("steps=100000", "step_seconds=0.1")) == 0
    wait(lambda: last_step(tmp_path) > 0, "a first step")
    assert len(processes_of(tmp_path)) >= 2
    os.kill(controller(tmp_path).pid, signal.SIGKILL)
    wait(lambda: processes_of(tmp_path) == [], "the end of all processes", 5)
    assert state(tmp_path).startswith("GONE")


def test_the_command_returns_and_the_run_goes_on_without_it(tmp_path: Path) -> None:
    # A pipe that the run kept open would keep its reader waiting.
    code = f"""
import sys
from recipes.launch.__main__ import main
options = ["small", "--folder", {str(tmp_path)!r}, "--cluster", "local", "--", "--config", "steps=8"]
sys.exit(main(options, {{"small": "tests.launch_recipe"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("on the CPU, 1 process")
    assert second.startswith("run: job ")
    assert wait_until_over(tmp_path) == "FINISHED"
    assert_undisturbed(tmp_path, Request(tmp_path, steps=8), world=1)


def test_debug_runs_in_the_foreground_with_the_recipes_own_code(tmp_path: Path) -> None:
    foreground = ("--cluster", "debug")
    assert launch(tmp_path / "good", *foreground, config=["steps=6"]) == 0
    assert_undisturbed(tmp_path / "good", Request(tmp_path, steps=6), world=1)
    for code, returned in ((2, 2), (3, 1)):
        assert launch(tmp_path / f"bad{code}", *foreground, config=[f"exit_code={code}"]) == returned


def test_what_a_training_forks_heeds_the_signals_that_it_ignores_itself() -> None:
    code = """
import multiprocessing, signal, time
from recipes.launch import training_process
training_process._ignore_signals()
assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
fork = multiprocessing.get_context("fork")
ready = fork.Event()
def work():
    ready.set()
    time.sleep(30)
worker = fork.Process(target=work)
worker.start()
ready.wait(10)
worker.terminate()
worker.join(10)
print(worker.exitcode)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{-signal.SIGTERM}\n"

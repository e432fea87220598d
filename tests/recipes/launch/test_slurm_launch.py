"""The launcher on a real SLURM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import recipes.launch
from recipes.launch.__main__ import main
from recipes.launch.jobs import has_ended
from tests import slurm_cluster
from tests.launch_recipe.__main__ import load
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

slurm = slurm_cluster.slurm
pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.slurm]

SBATCH = Path(recipes.launch.__file__).parent / "sbatch"
TWO_TASKS = ("--cluster", "slurm", "--tasks-per-node", "2", "--cpus", "1")
# Slow enough to be disturbed between two checkpoints.
SLOW = ("steps=70", "every=10", "step_seconds=0.15")


def slurm_says(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_job_whose_time_is_up_goes_on_from_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_API_TOKEN", "4f1c-not-for-logs")
    folder = tmp_path / "a folder"
    request = Request(folder, steps=70, every=10)
    assert launch(folder, *TWO_TASKS, config=SLOW) == 0
    wait(lambda: last_step(folder) > 12, "a step after the first checkpoint")

    # What a second launch and a look at the first are told meanwhile.
    assert launch(folder, *TWO_TASKS, config=SLOW) == 2
    assert "run of an earlier launch is RUNNING" in capsys.readouterr().err
    assert main(["watch", str(folder), "--once"]) == 0
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.startswith(f"run  {record(folder).runs[0].job}  RUNNING  step ")
    assert "train: Loss " in shown

    slurm_says("scancel", "--signal=USR2", record(folder).runs[0].job)
    wait(lambda: state(folder).startswith("PENDING"), "being queued again")
    assert processes_of(folder) == []
    assert wait_until_over(folder) == "FINISHED"
    assert_resumed(folder, request)
    assert_undisturbed(folder, request, world=2)
    # Neither logs nor batch script nor pickles hold what the environment hides.
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if b"4f1c-not-for-logs" in path.read_bytes()]
    assert main(["watch", str(folder)]) == 0


def test_a_job_that_a_more_urgent_one_preempts_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    request = Request(tmp_path, steps=70, every=10)
    assert launch(tmp_path, *TWO_TASKS, "--partition", "main", config=SLOW) == 0
    wait(lambda: last_step(tmp_path) > 12, "a step after the first checkpoint")
    slurm_says("sbatch", "--partition=urgent", "--ntasks=2", "--output=/dev/null", "--wrap", "sleep 1")
    wait(lambda: state(tmp_path).startswith("PENDING"), "being pre-empted")
    assert processes_of(tmp_path) == []
    assert wait_until_over(tmp_path) == "FINISHED"
    assert_resumed(tmp_path, request)
    assert_undisturbed(tmp_path, request, world=2)


def test_a_process_killed_while_it_saves_leaves_a_whole_checkpoint_and_no_orphans(tmp_path: Path) -> None:
    config = ("steps=12", "every=4", "save_seconds=0.7")
    request = Request(tmp_path, steps=12, every=4)
    assert launch(tmp_path, *TWO_TASKS, config=config) == 0
    half = tmp_path / "checkpoints" / ".step_8.part" / "model.pt"
    wait(half.exists, "a half-written checkpoint")
    os.kill(read_metrics(tmp_path)[-1]["Pid"], signal.SIGKILL)
    assert wait_until_over(tmp_path).startswith("FAILED")
    assert processes_of(tmp_path) == []
    step, weights = load(tmp_path / "checkpoints")
    assert step == 4
    assert torch.isfinite(weights).all()
    assert main(["watch", str(tmp_path)]) == 1

    assert launch(tmp_path, *TWO_TASKS, config=config) == 0
    assert wait_until_over(tmp_path) == "FINISHED"
    assert_resumed(tmp_path, request)
    assert_undisturbed(tmp_path, request, world=2)


def test_configurations_and_seeds_are_jobs_of_one_array(tmp_path: Path) -> None:
    slow_rate, fast_rate = tmp_path / "slow.yaml", tmp_path / "fast.yaml"
    slow_rate.write_text("{rate: 0.01, steps: 6}")
    fast_rate.write_text("{rate: 0.1, steps: 6}")
    folder = tmp_path / "runs"

    sweep = f"{slow_rate},{fast_rate}"
    assert launch(folder, "--cluster", "slurm", "--sweep", sweep) == 0
    assert launch(tmp_path / "seeds", "--cluster", "slurm", "--seeds", "0,3", config=["steps=6"]) == 0
    array = record(folder).runs[0].job.partition("_")[0]
    assert [(run.name, run.job) for run in record(folder).runs] == [
        ("slow", f"{array}_0"),
        ("fast", f"{array}_1"),
    ]
    for name, rate in (("slow", 0.01), ("fast", 0.1)):
        assert wait_until_over(folder, name) == "FINISHED"
        assert_undisturbed(folder / name, Request(folder, steps=6, rate=rate), world=1)
    for seed in (0, 3):
        assert wait_until_over(tmp_path / "seeds", f"seed{seed}") == "FINISHED"
        run = tmp_path / "seeds" / f"seed{seed}"
        assert_undisturbed(run, Request(run, steps=6, seed=seed), world=1)


def test_a_mistake_that_the_recipe_finds_fails_the_job_for_good(tmp_path: Path) -> None:
    assert launch(tmp_path, "--cluster", "slurm", config=["exit_code=2"]) == 0
    assert wait_until_over(tmp_path) == "FAILED (the recipe refused its options)"
    shown = slurm_says("scontrol", "show", "job", record(tmp_path).runs[0].job)
    assert "JobState=FAILED" in shown
    assert "Restarts=0" in shown


def test_stop_cancels_what_is_queued_and_what_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running, waiting = tmp_path / "running", tmp_path / "waiting"
    assert launch(running, *TWO_TASKS, config=["steps=100000", "step_seconds=0.1"]) == 0
    assert launch(waiting, *TWO_TASKS, "--seeds", "0,1") == 0
    wait(lambda: last_step(running) > 0, "a first step")
    assert state(waiting, "seed0").startswith("PENDING")
    for folder, output in ((waiting, "stopped: seed0, seed1"), (running, "stopped: run")):
        capsys.readouterr()
        assert main(["stop", str(folder)]) == 0
        assert output in capsys.readouterr().out
    assert wait_until_over(waiting, "seed1") == "CANCELLED"
    assert wait_until_over(running) == "CANCELLED"
    assert processes_of(tmp_path) == []
    assert main(["stop", str(running)]) == 0
    assert "nothing was running" in capsys.readouterr().out


def test_what_sbatch_refuses_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(tmp_path, "--cluster", "slurm", "--partition", "nowhere") == 2
    output = capsys.readouterr().err.strip()
    assert "\n" not in output
    assert "invalid partition" in output
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert main(["watch", str(tmp_path), "--once"]) == 2


def submit(script: str, *arguments: str, options: tuple[str, ...] = (), folder: Path) -> str:
    environment = {**os.environ, "PYTHON": sys.executable, "RECIPE": "tests.launch_recipe"}
    command = [
        "sbatch",
        "--parsable",
        f"--output={folder}/%A-%a.log",
        *options,
        str(SBATCH / script),
        *arguments,
    ]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def slurm_state(job: str) -> str:
    return slurm_says("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")


def test_the_sbatch_file_of_a_node_requeues_itself_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = Request(out, steps=70, every=10)
    job = submit("one_node_cpu.sbatch", str(out), "--config", *SLOW, folder=tmp_path)
    wait(lambda: last_step(out) > 12, "a step after the first checkpoint")
    slurm_says("scancel", "--batch", "--signal=USR2", job)
    wait(lambda: slurm_state(job) == "PENDING", "being queued again")
    wait(lambda: has_ended(slurm_state(job)), "the end", 90)
    assert slurm_state(job) == "COMPLETED"
    assert_resumed(out, request)
    assert_undisturbed(out, request, world=2)


def test_the_sbatch_file_of_an_array_gives_each_configuration_a_folder(tmp_path: Path) -> None:
    for name, rate in (("narrow", 0.01), ("wide", 0.1)):
        (tmp_path / f"{name}.yaml").write_text(f"{{rate: {rate}, steps: 6}}")
    configs = [str(tmp_path / "narrow.yaml"), str(tmp_path / "wide.yaml")]
    # One task more than there are configurations.
    job = submit(
        "array_over_configs.sbatch",
        str(tmp_path / "out"),
        *configs,
        options=("--array=0-2",),
        folder=tmp_path,
    )
    wait(lambda: all(has_ended(line) for line in slurm_state(job).split()), "the end of the array")
    assert sorted(slurm_state(job).split()) == ["COMPLETED", "COMPLETED", "FAILED"]
    for name, rate in (("narrow", 0.01), ("wide", 0.1)):
        run = tmp_path / "out" / name
        assert_undisturbed(run, Request(run, steps=6, rate=rate), world=1)

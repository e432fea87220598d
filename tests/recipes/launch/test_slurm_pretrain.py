"""Pretraining on a real SLURM: pre-empted, in arrays, from a plain sbatch file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import recipes.launch
from recipes.launch.__main__ import main
from recipes.launch.jobs import has_ended
from tests import slurm_cluster
from tests.launched import processes_of, record, state, wait, wait_until_over
from tests.pretrain_run import checkpoint, flat_overrides, metrics, prepare, start_two, without_times
from tests.recipes.pretrain.test_pretrain_resume import differing

slurm = slurm_cluster.slurm
pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.slurm]

SBATCH = Path(recipes.launch.__file__).parent / "sbatch"
STEPS = 40
TWO_TASKS = ("data.batch_size=2", f"regime.num_steps={STEPS}", "validation.clips=4")
EVERY_FOURTH = ("regime.validate_every_n_steps=4", "regime.checkpoint_every_n_steps=4")
SECRET = "4f1c-not-for-logs"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("pretrain"))


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> Path:
    """The folder of a run of two processes, without SLURM."""
    out = config.parent / "undisturbed"
    for attempt in start_two(out, config, *TWO_TASKS, *EVERY_FOURTH):
        assert attempt.code(120) == 0, attempt.read_output()
    return out


def has_gone_on(out: Path, attempts: int) -> bool:
    """Whether a run that went on from a checkpoint that often has made another since."""
    began = restored_from(out) if (out / "logs/rank_0.log").exists() else []
    saved = [int(path.name[5:]) for path in (out / "checkpoints").glob("step_*") if path.suffix != ".tmp"]
    return len(began) == attempts and max(saved, default=0) > max(began, default=0)


def restored_from(out: Path) -> list[int]:
    """The steps that attempts went on from."""
    lines = (out / "logs/rank_0.log").read_text().splitlines()
    return [int(line.split()[-1].rstrip(".")) for line in lines if "Restoring training from the last" in line]


def test_a_job_preempted_twice_ends_as_the_undisturbed_run(
    tmp_path: Path, config: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_API_TOKEN", SECRET)
    squeue = ["pretrain", "--cluster", "slurm", "--gpus", "0", "--tasks-per-node", "2", "--cpus", "1"]
    recipe = ["--config-file", str(config), "--config", *TWO_TASKS, *EVERY_FOURTH]
    assert main([*squeue, "--folder", str(tmp_path), "--", *recipe]) == 0
    job = record(tmp_path).runs[0].job
    for attempts, command in enumerate((["scontrol", "requeue", job], ["scancel", "--signal=USR2", job])):
        wait(lambda attempts=attempts: has_gone_on(tmp_path, attempts), "a checkpoint", 120)  # type: ignore[misc]
        subprocess.run(command, check=True)
        wait(lambda: state(tmp_path).startswith("PENDING"), "being queued again")
        assert processes_of(tmp_path) == []
    assert wait_until_over(tmp_path) == "FINISHED"

    first, second = restored_from(tmp_path)
    assert 0 < first < second < STEPS
    for name in ("train", "valid"):
        assert without_times(metrics(tmp_path, name)) == without_times(metrics(undisturbed, name))
    ours, reference = (checkpoint(folder, STEPS) for folder in (tmp_path, undisturbed))
    for folder in (ours, reference):
        for rank in range(2):
            del folder[f"trainer/rank_{rank:02d}.pt"]["_base_wall_time"]
    assert differing(ours, reference) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_ablations_are_jobs_of_one_array(tmp_path: Path, config: Path) -> None:
    names = ("no_sral", "rolled_motion")
    sweep = ",".join(f"ablations/{name}" for name in names)
    squeue = ["pretrain", "--cluster", "slurm", "--folder", str(tmp_path), "--cpus", "1", "--sweep", sweep]
    recipe = ["--config", *flat_overrides(config), "regime.num_steps=4", "validation.clips=4"]
    assert main([*squeue, "--", *recipe]) == 0
    array = record(tmp_path).runs[0].job.partition("_")[0]
    assert [run.job for run in record(tmp_path).runs] == [f"{array}_0", f"{array}_1"]
    for run in record(tmp_path).runs:
        assert wait_until_over(tmp_path, run.name) == "FINISHED"
    records = {Path(run.folder).name: metrics(Path(run.folder)) for run in record(tmp_path).runs}
    assert sorted(records) == sorted(names)
    # What was not computed is not told, not even as 0.
    assert len(records["no_sral"]) == 4
    assert all("sral" not in line and line["ecl"] > 0 for line in records["no_sral"])
    assert all(line["sral"] > 0 for line in records["rolled_motion"])
    assert all(np.isfinite(line["Loss"]) for lines in records.values() for line in lines)


def test_a_plain_sbatch_file_trains_too(tmp_path: Path, config: Path, undisturbed: Path) -> None:
    out = tmp_path / "out"
    command = ["sbatch", "--parsable", f"--output={tmp_path}/log", str(SBATCH / "one_node_cpu.sbatch")]
    recipe = [
        str(out),
        "--config-file",
        str(config),
        "--config",
        *TWO_TASKS,
        *EVERY_FOURTH,
        "regime.num_steps=4",
    ]
    environment = {**os.environ, "PYTHON": sys.executable}
    submission = subprocess.run(
        [*command, *recipe], env=environment, check=True, capture_output=True, text=True
    )

    def slurm_state() -> str:
        squeue = [
            "squeue",
            "--noheader",
            "--states=all",
            f"--jobs={submission.stdout.strip()}",
            "--format=%T",
        ]
        return subprocess.run(squeue, check=True, capture_output=True, text=True).stdout.strip()

    wait(lambda: has_ended(slurm_state()), "the end", 120)
    assert slurm_state() == "COMPLETED", (tmp_path / "log").read_text()
    assert without_times(metrics(out)) == without_times(metrics(undisturbed))[:4]

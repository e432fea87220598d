"""A task's training on a real SLURM: queued again, it goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from recipes.launch.__main__ import main
from tests import slurm_cluster
from tests.launched import processes_of, record, state, wait, wait_until_over

slurm = slurm_cluster.slurm
pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.slurm]


def test_a_task_that_is_requeued_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    runner = {"total_steps": 200, "eval_step": 200, "save_step": 5, "log_step": 50}
    overrides = ",,".join(f"config.runner.{key}={value}" for key, value in runner.items())
    arguments = [
        "downstream",
        "--cluster",
        "slurm",
        "--folder",
        str(tmp_path),
        "--cpus",
        "1",
        "--time",
        "0:10:00",
    ]
    task = ["-u", "motionbeat_log_mel", "-d", "beat_tracking", "-o", overrides, "--seed", "3"]
    assert main([*arguments, "--", *task]) == 0

    def saved() -> list[int]:
        return sorted(int(path.stem[7:]) for path in tmp_path.glob("states-*.ckpt"))

    wait(lambda: bool(saved()), "a checkpoint", 120)
    job = record(tmp_path).runs[0].job
    subprocess.run(["scancel", "--signal=USR2", job], check=True)
    wait(lambda: state(tmp_path).startswith("PENDING"), "being queued again")
    assert processes_of(tmp_path) == []
    last_step = saved()[-1]
    assert last_step < 200
    assert wait_until_over(tmp_path) == "FINISHED"
    assert saved()[-1] == 200
    assert (tmp_path / "scores-test.jsonl").is_file()
    logs = "".join(path.read_text() for path in (tmp_path / "launch" / "jobs").glob("*.out"))
    assert f"Resume from {tmp_path}/states-{last_step}.ckpt" in logs
    assert torch.load(tmp_path / "states-200.ckpt", weights_only=False)["Args"].seed == 3

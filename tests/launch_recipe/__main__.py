"""``python -m tests.launch_recipe OUT``: resumes from OUT/checkpoints, as fairseq2's recipes do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, distributed

from tests.launch_recipe.fitting import gradient_and_loss
from tests.launch_recipe.request import Request, parse


def train(request: Request) -> None:
    rank, world = distributed.get_rank(), distributed.get_world_size()
    checkpoints = request.out / "checkpoints"
    done, weights = load(checkpoints)
    for step in range(done + 1, request.steps + 1):
        summed = gradient_and_loss(request.seed, step, rank, weights)
        distributed.all_reduce(summed)
        weights = weights - request.rate * summed[:3] / world
        if rank == 0:
            tell(request.out, step, float(summed[3] / world))
            if step % request.every == 0 or step == request.steps:
                save(checkpoints, step, weights, request.save_seconds)
        distributed.barrier()
        time.sleep(request.step_seconds)


def tell(out: Path, step: int, loss: float) -> None:
    path = out / "metrics" / "train.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps({"Time": "now", "Step": step, "Loss": loss, "Pid": os.getpid()}) + "\n")


def load(checkpoints: Path) -> tuple[int, Tensor]:
    """The last step that was saved and its weights; step 0: nothing was."""
    steps = [int(path.name.removeprefix("step_")) for path in checkpoints.glob("step_*")]
    if not steps:
        return 0, torch.zeros(3)
    weights: Tensor = torch.load(checkpoints / f"step_{max(steps)}" / "model.pt", weights_only=True)
    return max(steps), weights


def save(checkpoints: Path, step: int, weights: Tensor, seconds: float) -> None:
    draft = checkpoints / f".step_{step}.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    (draft / "model.pt").write_bytes(b"half of it")
    time.sleep(seconds)
    torch.save(weights, draft / "model.pt")
    draft.rename(checkpoints / f"step_{step}")


def read_slurm() -> None:
    """What fairseq2 does where SLURM's variables are there and torchrun's are not."""
    if "RANK" in os.environ or "SLURM_PROCID" not in os.environ:
        return
    hosts = ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]
    os.environ["RANK"] = os.environ["SLURM_PROCID"]
    os.environ["WORLD_SIZE"] = os.environ["SLURM_NTASKS"]
    os.environ["MASTER_ADDR"] = subprocess.check_output(hosts, text=True).split()[0]
    os.environ["MASTER_PORT"] = str(20_000 + int(os.environ["SLURM_JOB_ID"]) % 10_000)


if __name__ == "__main__":
    asked = parse(sys.argv[1:])
    if asked.exit_code:
        sys.exit(asked.exit_code)
    read_slurm()
    distributed.init_process_group("gloo")
    train(asked)
    distributed.destroy_process_group()

"""What a job does: it runs a recipe as a process of its own, and requeues itself when it is pre-empted.

The way of a signal. SLURM sends USR2 to all processes of the job some time before its time is up
(``--signal=USR2@notice``), and where the site asks for it also when the job is pre-empted. The training
process ignores it. In the task of rank 0 submitit's handler calls ``RecipeTask.checkpoint``, stores what it
returns and calls ``scontrol requeue``; SLURM ends the job, queues it again under the same number, and the new
attempt starts the same recipe, which goes on from its last checkpoint. Nothing is saved on the signal: the
handler runs on rank 0 alone, and a checkpoint needs all ranks. What was done since the last periodic
checkpoint is done again.

TERM, which comes first when a pre-empted job has a grace period, is ignored by both; the KILL that follows
ends the task, and the kernel then ends the training process. A job that SLURM itself pre-empts, or loses with
its node, is requeued by SLURM, because it was submitted with ``--requeue``.

A recipe that fails, in whichever way, fails the job, and nothing is requeued.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from submitit import JobEnvironment
from submitit.helpers import Checkpointable, DelayedSubmission

from recipes.launch.record import MISTAKE, Progress, now, progress_file, write_progress
from recipes.launch.runs import Run
from recipes.launch.training_process import end_with_parent

GRACE = 5.0
"""Seconds that a training process has for ending by itself after INT."""

# Of the process of rank 0; below what Linux hands out to outgoing connections.
_PORTS = (20_000, 32_000)


class RecipeFailed(RuntimeError):
    """Runs ended with another code than 0; ``code`` is 2 if the recipe refused all these, else 1."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class RecipeTask(Checkpointable):
    """What each process of a job does: the runs of a recipe, one after another.

    On SLURM a job has one run; on this machine it has all of a launch.

    Args:
        module: the recipe's.
        runs: what to run.
        launch: the folder of the launch's own files.
    """

    def __init__(self, module: str, runs: Sequence[Run], launch: Path) -> None:
        self.module = module
        self.runs = tuple(runs)
        self.launch = launch
        self.done = 0
        self.failed: dict[str, int] = {}

    def __call__(self) -> None:
        """Run what is not done yet; raises RecipeFailed at the end if any run failed."""
        job = JobEnvironment()
        if job.cluster == "local":
            # submitit's controller is the parent, and gives the job its number.
            end_with_parent(int(job.job_id))
        for number in range(self.done, len(self.runs)):
            run = self.runs[number]
            code = self._train(run, job, number)
            if code != 0:
                self.failed[run.name] = code
            self.done = number + 1
        if self.failed:
            told = "; ".join(f"{run} ended with code {code}" for run, code in self.failed.items())
            raise RecipeFailed(
                f"{self.module}: {told}", MISTAKE if set(self.failed.values()) == {MISTAKE} else 1
            )

    def checkpoint(self) -> DelayedSubmission:
        """What the next attempt does: the same, without the runs that are done."""
        return DelayedSubmission(self)

    def _train(self, run: Run, job: JobEnvironment, number: int) -> int:
        # Rank 0 alone tells: when it requeues the job, the others fail for want of it.
        progress = progress_file(self.launch, run.name) if job.global_rank == 0 else None
        started = now()
        if progress is not None:
            write_progress(progress, Progress(started))
        environment = os.environ | _distributed_variables(job, number)
        code = _run_to_the_end([self.module, *run.arguments], environment)
        if progress is not None:
            write_progress(progress, Progress(started, now(), code))
        return code


def _run_to_the_end(recipe: Sequence[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-u", "-m", "recipes.launch.training_process", str(os.getpid()), *recipe]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    finally:
        # Also when submitit's handler leaves by SystemExit, or the user by Ctrl-C.
        if process.poll() is None:
            _signal_group(process, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _distributed_variables(job: JobEnvironment, run: int) -> dict[str, str]:
    """RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT of this process.

    fairseq2 could read SLURM's own variables, but would then take the GPU with the number of the task on
    its node, which on a shared node may be another job's. With these it takes one of the job's own.

    Args:
        job: the job that this process is part of.
        run: number of the run in the job. Runs and restarts have ports of their own: a process that is
            ahead or left behind cannot meet those of another run.
    """
    seed = f"{job.job_id} {os.environ.get('SLURM_RESTART_COUNT', 0)}"
    port = random.Random(seed).randrange(*_PORTS)
    return {
        "RANK": str(job.global_rank),
        "WORLD_SIZE": str(job.num_tasks),
        "LOCAL_RANK": str(job.local_rank),
        "LOCAL_WORLD_SIZE": str(job.num_tasks // job.num_nodes),
        "MASTER_ADDR": "127.0.0.1" if job.num_nodes == 1 else job.hostnames[0],
        "MASTER_PORT": str(port + run),
    }

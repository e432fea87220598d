"""The task of a job: it runs a recipe in a separate process, and requeues the job before its time limit.

SLURM sends USR2 to all processes of the job some time before its time limit (``--signal=USR2@notice``), and
on some sites also before pre-emption. The training process ignores it. On rank 0, submitit's handler calls
``RecipeTask.checkpoint``, stores the returned task and calls ``scontrol requeue``. SLURM ends the job and
queues it again under the same number; the new attempt starts the same recipe, which resumes from its last
checkpoint. Nothing is saved on the signal, because the handler runs only on rank 0 and a checkpoint needs all
ranks. The steps since the last periodic checkpoint are repeated.

Both processes ignore TERM, which precedes KILL when a pre-empted job has a grace period. KILL ends the task,
and the kernel then ends the training process. SLURM itself requeues jobs that it pre-empts or loses with
their node, because they are submitted with ``--requeue``.

A recipe that fails, with any exit code, fails the job, which is not requeued.
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

from recipes.launch.record import REFUSED, Progress, now, progress_file, write_progress
from recipes.launch.runs import Run
from recipes.launch.training_process import end_with_parent

GRACE_SECONDS = 5.0
"""Time for a training process to end after INT."""

# MASTER_PORT; below the range of Linux for outgoing connections.
_PORT_RANGE = (20_000, 32_000)


class RecipeFailed(RuntimeError):
    """Runs ended with an exit code other than 0; ``code`` is 2 if the recipe refused all of them, else 1."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class RecipeTask(Checkpointable):
    """The task of each process of a job: the runs of a recipe, one after the other.

    On SLURM a job has one run, on this machine all runs of a launch.

    Args:
        module: module of the recipe.
        runs: runs of the job.
        launch: folder of the launch's own files.
    """

    def __init__(self, module: str, runs: Sequence[Run], launch: Path) -> None:
        self.module = module
        self.runs = tuple(runs)
        self.launch = launch
        self.done = 0
        self.failed: dict[str, int] = {}

    def __call__(self) -> None:
        """Run the runs that are not done; raise RecipeFailed at the end if any failed."""
        job = JobEnvironment()
        if job.cluster == "local":
            # The job number is that of the parent process, submitit's controller.
            end_with_parent(int(job.job_id))
        for number in range(self.done, len(self.runs)):
            run = self.runs[number]
            code = self._run(run, job, number)
            if code != 0:
                self.failed[run.name] = code
            self.done = number + 1
        if self.failed:
            message = "; ".join(f"{run} ended with code {code}" for run, code in self.failed.items())
            raise RecipeFailed(
                f"{self.module}: {message}", REFUSED if set(self.failed.values()) == {REFUSED} else 1
            )

    def checkpoint(self) -> DelayedSubmission:
        """Return the task of the next attempt, which skips the runs that are done."""
        return DelayedSubmission(self)

    def _run(self, run: Run, job: JobEnvironment, number: int) -> int:
        # Only rank 0 writes: when it requeues the job, the other ranks fail.
        progress = progress_file(self.launch, run.name) if job.global_rank == 0 else None
        started = now()
        if progress is not None:
            write_progress(progress, Progress(started))
        environment = os.environ | _distributed_variables(job, number)
        code = _run_recipe([self.module, *run.arguments], environment)
        if progress is not None:
            write_progress(progress, Progress(started, now(), code))
        return code


def _run_recipe(recipe: Sequence[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-u", "-m", "recipes.launch.training_process", str(os.getpid()), *recipe]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    finally:
        # Also after SystemExit in submitit's handler, and after Ctrl-C.
        if process.poll() is None:
            _signal_group(process, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _distributed_variables(job: JobEnvironment, run: int) -> dict[str, str]:
    """RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT of this process.

    From SLURM's variables, fairseq2 would use the GPU with the number of the task on its node, which may
    belong to another job. With these variables it uses a GPU of this job.

    Args:
        job: the job of this process.
        run: number of the run in the job. Runs and restarts have different ports, so that processes of
            different runs cannot connect.
    """
    seed = f"{job.job_id} {os.environ.get('SLURM_RESTART_COUNT', 0)}"
    port = random.Random(seed).randrange(*_PORT_RANGE)
    return {
        "RANK": str(job.global_rank),
        "WORLD_SIZE": str(job.num_tasks),
        "LOCAL_RANK": str(job.local_rank),
        "LOCAL_WORLD_SIZE": str(job.num_tasks // job.num_nodes),
        "MASTER_ADDR": "127.0.0.1" if job.num_nodes == 1 else job.hostnames[0],
        "MASTER_PORT": str(port + run),
    }

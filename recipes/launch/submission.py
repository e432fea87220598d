"""Handing tasks to submitit: to SLURM, to a process in the background here, or to this very process."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from submitit import DebugExecutor, Job, LocalExecutor, SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import environment_variables

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.slurm_commands import first_line
from recipes.launch.task import RecipeFailed, RecipeTask


def submit_to_slurm(
    tasks: Sequence[RecipeTask], parameters: Mapping[str, Any], restarts: int, jobs: Path
) -> list[str]:
    """Queue the tasks, several as one array; returns SLURM's number of each.

    submitit stores the tasks in ``jobs`` and puts its logs there. Neither they nor the batch script hold the
    environment: sbatch hands that to SLURM itself (``--export=ALL``).

    Raises:
        MotionBeatError: SLURM refuses them.
    """
    executor = SlurmExecutor(jobs, max_num_timeout=restarts)
    executor.update_parameters(**parameters)
    before = set(jobs.glob("*"))
    try:
        # submitit prints what sbatch says, and raises it too.
        with redirect_stderr(io.StringIO()):
            submitted: Sequence[Job[None]]
            submitted = executor.submit_array(tasks) if len(tasks) > 1 else [executor.submit(tasks[0])]
    except (FailedJobError, FailedSubmissionError) as error:
        for left in set(jobs.glob("*")) - before:
            left.unlink()
        raise MotionBeatError(f"{first_line(str(error))}; the job was not queued") from error
    return [job.job_id for job in submitted]


def start_here(task: RecipeTask, parameters: Mapping[str, Any], restarts: int, jobs: Path) -> str:
    """Start the task's processes in the background; returns the number of the one that controls them."""
    executor = LocalExecutor(jobs, max_num_timeout=restarts)
    executor.update_parameters(**parameters)
    jobs.mkdir(parents=True, exist_ok=True)
    with _streams_to(jobs / "controller.log"):
        return executor.submit(task).job_id


def run_here(task: RecipeTask, jobs: Path) -> int:
    """Run the task in this process, and return when it is done: 0, or the code of its failure."""
    job = DebugExecutor(jobs).submit(task)
    # Its other ways of running a job end in a debugger.
    with environment_variables(SUBMITIT_DEBUG_JOB_ID=job.job_id):
        error = job.exception()
    if isinstance(error, RecipeFailed):
        return error.code
    if error is not None:
        raise error
    return 0


@contextmanager
def _streams_to(log: Path) -> Iterator[None]:
    """Give processes that are started meanwhile ``log`` as output, and no input.

    They would keep the caller's terminal or pipe open long after the command that started them is over.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(stream) for stream in (0, 1, 2)]
    try:
        with open(os.devnull, "rb") as nothing, log.open("ab") as output:
            for stream, file in ((0, nothing), (1, output), (2, output)):
                os.dup2(file.fileno(), stream)
            yield
    finally:
        for stream, copy in enumerate(kept):
            os.dup2(copy, stream)
            os.close(copy)

"""Launching runs into a folder, with a record of it, and stopping them again."""

from __future__ import annotations

import io
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submitit import DebugExecutor, Job, LocalExecutor, SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import environment_variables

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.jobs import end_jobs, first_line, is_over, process_started, states
from recipes.launch.record import (
    LaunchedRun,
    Record,
    find_record,
    launch_folder,
    now,
    progress_file,
    write_record,
)
from recipes.launch.runs import Run
from recipes.launch.task import RecipeFailed, RecipeTask

if TYPE_CHECKING:
    from recipes.launch.resources import Resources


def check_folder(folder: Path, recipe: str) -> None:
    """Refuse a folder that cannot be written, of another recipe, or where an earlier launch still runs.

    Raises:
        MotionBeatError: so it is.
    """
    if "%" in str(folder):
        raise MotionBeatError(f"--folder {folder}: SLURM would read the % in it; give another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MotionBeatError(
            f"--folder {folder}: cannot be written ({error.strerror}); give a folder that can"
        ) from error
    record = find_record(folder)
    if record is None:
        return
    if record.recipe != recipe:
        raise MotionBeatError(
            f"--folder {folder}: holds a launch of {record.recipe}; give {recipe} another folder"
        )
    for name, state in states(folder, record).items():
        if not is_over(state):
            raise MotionBeatError(
                f"--folder {folder}: {name} of an earlier launch is {state}; stop it with `python -m "
                f"recipes.launch stop {folder}`, or give another folder"
            )


def launch(
    recipe: str, module: str, runs: Sequence[Run], resources: Resources, folder: Path, at_once: bool = False
) -> Record:
    """Queue the runs on SLURM, several as one array, or start them here in the background.

    Here they take turns, or with ``at_once`` begin together, each as a process of its own.

    Raises:
        MotionBeatError: they are refused; then nothing runs.
    """
    own = _fresh(folder, runs)
    jobs = own / "jobs"
    if resources.cluster == "slurm":
        tasks = [RecipeTask(module, [run], own) for run in runs]
        numbers = _submit_to_slurm(tasks, resources.slurm_parameters(), resources.restarts, jobs)
    else:
        parameters = resources.local_parameters(os.environ.get("CUDA_VISIBLE_DEVICES"))
        numbers = []
        for together in [[run] for run in runs] if at_once else [runs]:
            process = _start_here(RecipeTask(module, together, own), parameters, resources.restarts, jobs)
            numbers += [process] * len(together)
    record = _record(resources.cluster, recipe, runs, numbers)
    try:
        write_record(folder, record)
    except BaseException:
        # Without a record nobody would know of the jobs.
        end_jobs(record)
        raise
    return record


def launch_here(recipe: str, module: str, runs: Sequence[Run], folder: Path) -> int:
    """Run in the foreground, as one process; returns 0, or the code of the failure."""
    own = _fresh(folder, runs)
    record = _record("debug", recipe, runs, [str(os.getpid())] * len(runs))
    write_record(folder, record)
    return _run_here(RecipeTask(module, runs, own), own / "jobs")


def stop(folder: Path, record: Record) -> list[str]:
    """Stop the runs of a launch that are not over, and put it on record; returns their names.

    Raises:
        MotionBeatError: SLURM refuses, or the machine that the launch runs on cannot be asked.
    """
    active = [name for name, state in states(folder, record).items() if not is_over(state)]
    if active:
        end_jobs(record)
        write_record(folder, replace(record, stopped=now()))
    return active


def _fresh(folder: Path, runs: Sequence[Run]) -> Path:
    own = launch_folder(folder)
    for run in runs:
        progress_file(own, run.name).unlink(missing_ok=True)
    return own


def _record(cluster: str, recipe: str, runs: Sequence[Run], numbers: Sequence[str]) -> Record:
    launched = tuple(
        LaunchedRun(
            run.name, str(run.folder), number, None if cluster == "slurm" else process_started(int(number))
        )
        for run, number in zip(runs, numbers, strict=True)
    )
    return Record(cluster, recipe, socket.gethostname(), now(), launched)


def _submit_to_slurm(
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


def _start_here(task: RecipeTask, parameters: Mapping[str, Any], restarts: int, jobs: Path) -> str:
    """Start the task's processes in the background; returns the number of the one that controls them."""
    executor = LocalExecutor(jobs, max_num_timeout=restarts)
    executor.update_parameters(**parameters)
    jobs.mkdir(parents=True, exist_ok=True)
    with _streams_to(jobs / "controller.log"):
        return executor.submit(task).job_id


def _run_here(task: RecipeTask, jobs: Path) -> int:
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

"""Launch runs in a folder, with a record, and stop them."""

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
from recipes.launch.jobs import end_jobs, first_line, has_ended, process_start_time, read_states
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


def check_launch_folder(folder: Path, recipe: str) -> None:
    """Check the folder of a launch.

    Raises:
        MotionBeatError: it cannot be written, belongs to another recipe, or has an earlier launch that still
            runs.
    """
    if "%" in str(folder):
        raise MotionBeatError(f"--folder {folder}: SLURM would interpret the % in it; give another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MotionBeatError(
            f"--folder {folder}: cannot be written ({error.strerror}); give a writable folder"
        ) from error
    record = find_record(folder)
    if record is None:
        return
    if record.recipe != recipe:
        raise MotionBeatError(
            f"--folder {folder}: contains a launch of {record.recipe}; give {recipe} another folder"
        )
    for name, state in read_states(folder, record).items():
        if not has_ended(state):
            raise MotionBeatError(
                f"--folder {folder}: {name} of an earlier launch is {state}; stop it with `python -m "
                f"recipes.launch stop {folder}`, or give another folder"
            )


def launch(
    recipe: str,
    module: str,
    runs: Sequence[Run],
    resources: Resources,
    folder: Path,
    concurrent: bool = False,
) -> Record:
    """Queue the runs on SLURM, several as one array, or start them on this machine in the background.

    On this machine they run one after the other, or with ``concurrent`` simultaneously in separate processes.

    Raises:
        MotionBeatError: a run is refused; then nothing runs.
    """
    launch_files = _clear_progress(folder, runs)
    jobs = launch_files / "jobs"
    if resources.cluster == "slurm":
        tasks = [RecipeTask(module, [run], launch_files) for run in runs]
        job_ids = _submit_to_slurm(tasks, resources.slurm_parameters(), resources.restarts, jobs)
    else:
        parameters = resources.local_parameters(os.environ.get("CUDA_VISIBLE_DEVICES"))
        job_ids = []
        for group in [[run] for run in runs] if concurrent else [runs]:
            process = _start_locally(
                RecipeTask(module, group, launch_files), parameters, resources.restarts, jobs
            )
            job_ids += [process] * len(group)
    record = _make_record(resources.cluster, recipe, runs, job_ids)
    try:
        write_record(folder, record)
    except BaseException:
        # Without a record, the jobs could not be stopped.
        end_jobs(record)
        raise
    return record


def run_in_foreground(recipe: str, module: str, runs: Sequence[Run], folder: Path) -> int:
    """Run in the foreground in one process; return 0, or the exit code of a failure."""
    launch_files = _clear_progress(folder, runs)
    record = _make_record("debug", recipe, runs, [str(os.getpid())] * len(runs))
    write_record(folder, record)
    return _run_in_foreground(RecipeTask(module, runs, launch_files), launch_files / "jobs")


def stop(folder: Path, record: Record) -> list[str]:
    """Stop the runs of a launch that have not ended, record it, and return their names.

    Raises:
        MotionBeatError: scancel fails, or the launch runs on another machine.
    """
    active = [name for name, state in read_states(folder, record).items() if not has_ended(state)]
    if active:
        end_jobs(record)
        write_record(folder, replace(record, stopped=now()))
    return active


def _clear_progress(folder: Path, runs: Sequence[Run]) -> Path:
    """Remove the progress of an earlier launch, and return the folder of the launch's own files."""
    launch_files = launch_folder(folder)
    for run in runs:
        progress_file(launch_files, run.name).unlink(missing_ok=True)
    return launch_files


def _make_record(cluster: str, recipe: str, runs: Sequence[Run], job_ids: Sequence[str]) -> Record:
    launched = tuple(
        LaunchedRun(
            run.name, str(run.folder), job_id, None if cluster == "slurm" else process_start_time(int(job_id))
        )
        for run, job_id in zip(runs, job_ids, strict=True)
    )
    return Record(cluster, recipe, socket.gethostname(), now(), launched)


def _submit_to_slurm(
    tasks: Sequence[RecipeTask], parameters: Mapping[str, Any], restarts: int, jobs: Path
) -> list[str]:
    """Queue the tasks, several as one array, and return their SLURM job numbers.

    submitit stores the tasks and its logs in ``jobs``. Neither they nor the batch script contain the
    environment, which sbatch passes to SLURM itself (``--export=ALL``).

    Raises:
        MotionBeatError: sbatch fails.
    """
    executor = SlurmExecutor(jobs, max_num_timeout=restarts)
    executor.update_parameters(**parameters)
    before = set(jobs.glob("*"))
    try:
        # submitit prints sbatch's message and also raises it.
        with redirect_stderr(io.StringIO()):
            jobs_submitted: Sequence[Job[None]]
            jobs_submitted = executor.submit_array(tasks) if len(tasks) > 1 else [executor.submit(tasks[0])]
    except (FailedJobError, FailedSubmissionError) as error:
        for path in set(jobs.glob("*")) - before:
            path.unlink()
        raise MotionBeatError(f"{first_line(str(error))}; the job was not queued") from error
    return [job.job_id for job in jobs_submitted]


def _start_locally(task: RecipeTask, parameters: Mapping[str, Any], restarts: int, jobs: Path) -> str:
    """Start the processes of a task in the background, and return the number of their controller."""
    executor = LocalExecutor(jobs, max_num_timeout=restarts)
    executor.update_parameters(**parameters)
    jobs.mkdir(parents=True, exist_ok=True)
    with _redirect_streams(jobs / "controller.log"):
        return executor.submit(task).job_id


def _run_in_foreground(task: RecipeTask, jobs: Path) -> int:
    """Run the task in this process; return 0, or the exit code of a failure."""
    job = DebugExecutor(jobs).submit(task)
    # DebugJob.result() would start a debugger after a failure.
    with environment_variables(SUBMITIT_DEBUG_JOB_ID=job.job_id):
        error = job.exception()
    if isinstance(error, RecipeFailed):
        return error.code
    if error is not None:
        raise error
    return 0


@contextmanager
def _redirect_streams(log: Path) -> Iterator[None]:
    """Redirect the streams of processes that are started in the ``with`` block: output to ``log``, no input.

    Otherwise they would keep the caller's terminal or pipe open after the command has ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(stream) for stream in (0, 1, 2)]
    try:
        with open(os.devnull, "rb") as devnull, log.open("ab") as output:
            for stream, file in ((0, devnull), (1, output), (2, output)):
                os.dup2(file.fileno(), stream)
            yield
    finally:
        for stream, copy in enumerate(saved):
            os.dup2(copy, stream)
            os.close(copy)

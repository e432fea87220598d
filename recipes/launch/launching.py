"""Launching runs into a folder, with a record of it, and stopping them again."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch import local_process, slurm_commands
from recipes.launch.progress import now, progress_file
from recipes.launch.record import LaunchedRun, Record, find_record, launch_folder, write_record
from recipes.launch.runs import Run
from recipes.launch.states import is_over, states
from recipes.launch.submission import run_here, start_here, submit_to_slurm
from recipes.launch.task import RecipeTask

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


def launch(recipe: str, module: str, runs: Sequence[Run], resources: Resources, folder: Path) -> Record:
    """Queue the runs on SLURM, several as one array, or start them here in the background, in turn.

    Raises:
        MotionBeatError: they are refused; then nothing runs.
    """
    own = _fresh(folder, runs)
    jobs = own / "jobs"
    if resources.cluster == "slurm":
        slurm_commands.require_slurm()
        tasks = [RecipeTask(module, [run], own) for run in runs]
        numbers = submit_to_slurm(tasks, resources.slurm_parameters(), resources.restarts, jobs)
        began = None
    else:
        parameters = resources.local_parameters(os.environ.get("CUDA_VISIBLE_DEVICES"))
        process = start_here(RecipeTask(module, runs, own), parameters, resources.restarts, jobs)
        numbers = [process] * len(runs)
        began = local_process.started(int(process))
    record = _record(resources.cluster, recipe, runs, numbers, began)
    try:
        write_record(folder, record)
    except BaseException:
        # Without a record nobody would know of the jobs.
        _end(record)
        raise
    return record


def launch_here(recipe: str, module: str, runs: Sequence[Run], folder: Path) -> int:
    """Run in the foreground, as one process; returns 0, or the code of the failure."""
    own = _fresh(folder, runs)
    process = os.getpid()
    record = _record("debug", recipe, runs, [str(process)] * len(runs), local_process.started(process))
    write_record(folder, record)
    return run_here(RecipeTask(module, runs, own), own / "jobs")


def stop(folder: Path, record: Record) -> list[str]:
    """Stop the runs of a launch that are not over, and put it on record; returns their names.

    Raises:
        MotionBeatError: SLURM refuses, or the machine that the launch runs on cannot be asked.
    """
    active = [name for name, state in states(folder, record).items() if not is_over(state)]
    if active:
        _end(record)
        write_record(folder, replace(record, stopped=now()))
    return active


def _fresh(folder: Path, runs: Sequence[Run]) -> Path:
    own = launch_folder(folder)
    for run in runs:
        progress_file(own, run.name).unlink(missing_ok=True)
    return own


def _record(
    cluster: str, recipe: str, runs: Sequence[Run], numbers: Sequence[str], began: float | None
) -> Record:
    launched = (
        LaunchedRun(run.name, str(run.folder), number) for run, number in zip(runs, numbers, strict=True)
    )
    return Record(cluster, recipe, socket.gethostname(), now(), tuple(launched), began)


def _end(record: Record) -> None:
    if record.cluster == "slurm":
        for job in {run.job.partition("_")[0] for run in record.runs}:
            slurm_commands.cancel(job)
    else:
        local_process.stop(int(record.runs[0].job), record.process_started)

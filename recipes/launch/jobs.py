"""The jobs of a launch, on SLURM or on this machine: what has become of them, and how they are ended."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.record import (
    FINISHED,
    LaunchedRun,
    Progress,
    Record,
    launch_folder,
    progress_file,
    read_progress,
)

OVER = {
    *("FINISHED", "STOPPED", "GONE"),
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"),
}
"""Words for a run that is neither queued nor running: three of our own, then SLURM's."""

_PATIENCE = 10.0
"""Seconds that a process has for ending by itself; submitit's controller takes 1 for its tasks."""


def states(folder: Path, record: Record) -> dict[str, str]:
    """The state of each run, by its name: one word, and for some a reason in brackets.

    While SLURM has the job queued or running it is SLURM's word (PENDING, RUNNING, …), without SLURM WAITING
    or RUNNING. What is over is FINISHED, FAILED, STOPPED (by ``stop``), GONE (killed, or lost), or another
    of SLURM's words, such as CANCELLED or TIMEOUT.

    Raises:
        MotionBeatError: SLURM, or the machine that the launch runs on, cannot be asked.
    """
    told = {run.name: read_progress(progress_file(launch_folder(folder), run.name)) for run in record.runs}
    if record.cluster != "slurm":
        return {run.name: _state_here(run, told[run.name], record) for run in record.runs}
    answers: dict[str, tuple[str, str]] = {}
    for job in record.jobs:
        answers |= queued(job)
    return {run.name: _state_on_slurm(answers.get(run.job), told[run.name], record) for run in record.runs}


def is_over(state: str) -> bool:
    """Whether a run in this state is neither queued nor running."""
    return state.partition(" ")[0] in OVER


def _state_on_slurm(answer: tuple[str, str] | None, told: Progress | None, record: Record) -> str:
    word, reason = answer or (None, "")
    if word is not None and word not in OVER:
        return f"{word} ({reason})" if word == "PENDING" and reason != "None" else word
    consistent = told is not None and (told.exit_code == FINISHED) == (word == "COMPLETED")
    if told is not None and word in ("COMPLETED", "FAILED") and told.exit_code is not None and consistent:
        return told.outcome
    return word or _past(told, record)


def _state_here(run: LaunchedRun, told: Progress | None, record: Record) -> str:
    ended = told is not None and told.exit_code is not None
    if ended or record.stopped or not _is_alive_here(run, record):
        return _past(told, record)
    return "WAITING" if told is None else told.outcome


def _is_alive_here(run: LaunchedRun, record: Record) -> bool:
    if record.host != socket.gethostname():
        raise MotionBeatError(
            f"the launch runs on {record.host}, not here ({socket.gethostname()}); ask there"
        )
    return _is_alive(int(run.job), run.process_started)


def _past(told: Progress | None, record: Record) -> str:
    if told is not None and told.exit_code == FINISHED:
        return told.outcome
    if record.stopped is not None:
        return "STOPPED"
    if told is None or told.exit_code is None:
        return "GONE (killed, or lost; its log may say why)"
    return told.outcome


def end_jobs(record: Record) -> None:
    """Cancel the jobs of a launch on SLURM, or end its processes here.

    Raises:
        MotionBeatError: SLURM refuses.
    """
    if record.cluster == "slurm":
        for job in record.jobs:
            _cancel(job)
    else:
        for process, began in {(int(run.job), run.process_started) for run in record.runs}:
            _stop_process(process, began)


def require_slurm() -> None:
    """Raise MotionBeatError where SLURM's commands are not at hand."""
    for program in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(program) is None:
            raise MotionBeatError(
                f"{program} not found on PATH: SLURM is not here; go to a login node of the cluster, or use "
                f"--cluster local"
            )


def queued(job: str) -> dict[str, tuple[str, str]]:
    """State and reason, as squeue tells them, of a job or of each job of an array, by number.

    Jobs that ended some minutes ago are forgotten.

    Raises:
        MotionBeatError: SLURM cannot be asked.
    """
    require_slurm()
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%i|%T|%r"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        if "Invalid job id" in answer.stderr:
            return {}
        raise MotionBeatError(f"squeue: {first_line(answer.stderr)}; try again when SLURM answers")
    rows = (line.strip().split("|", 2) for line in answer.stdout.splitlines() if line.strip())
    return {number: (state, reason) for number, state, reason in rows}


def _cancel(job: str) -> None:
    """Cancel a job, or all jobs of an array.

    Raises:
        MotionBeatError: SLURM refuses.
    """
    require_slurm()
    answer = subprocess.run(["scancel", job], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise MotionBeatError(f"scancel {job}: {first_line(answer.stderr)}; see squeue")


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason was given")


def process_started(process: int) -> float | None:
    """When a process began, in seconds since 1970; None: it is over."""
    try:
        found = psutil.Process(process)
        return None if found.status() == psutil.STATUS_ZOMBIE else float(found.create_time())
    except psutil.NoSuchProcess:
        return None


def _is_alive(process: int, began: float | None) -> bool:
    """Whether the process that began then still runs, and is not another one of the same number."""
    return began is not None and process_started(process) == began


def _stop_process(process: int, began: float | None) -> None:
    """End a launch's process, with INT and then KILL; its children end with it. Returns when it is over."""
    for number in (signal.SIGINT, signal.SIGKILL):
        deadline = time.monotonic() + _PATIENCE
        if _is_alive(process, began):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(process).send_signal(number)
        while _is_alive(process, began) and time.monotonic() < deadline:
            time.sleep(0.05)

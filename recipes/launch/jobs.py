"""The jobs of a launch, on SLURM or on this machine: their states, and how to end them."""

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

END_STATES = {
    *("FINISHED", "STOPPED", "GONE"),
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"),
}
"""States of runs that are neither queued nor running: three of our own, then those of SLURM."""

STOP_TIMEOUT_SECONDS = 10.0
"""Time for a process to end after INT; submitit's controller needs 1 s to end its tasks."""


def read_states(folder: Path, record: Record) -> dict[str, str]:
    """State of each run by name: one word, for some states with a reason in brackets.

    Queued and running jobs have SLURM's state (PENDING, RUNNING, …), or without SLURM WAITING or RUNNING.
    Ended jobs are FINISHED, FAILED, STOPPED (by ``stop``), GONE (killed or lost), or have another state of
    SLURM, such as CANCELLED or TIMEOUT.

    Raises:
        MotionBeatError: SLURM does not answer, or the launch runs on another machine.
    """
    progress = {
        run.name: read_progress(progress_file(launch_folder(folder), run.name)) for run in record.runs
    }
    if record.cluster != "slurm":
        return {run.name: _local_state(run, progress[run.name], record) for run in record.runs}
    slurm_states: dict[str, tuple[str, str]] = {}
    for job in record.jobs:
        slurm_states |= query_slurm(job)
    return {
        run.name: _state_on_slurm(slurm_states.get(run.job), progress[run.name], record)
        for run in record.runs
    }


def has_ended(state: str) -> bool:
    """Return whether a run in this state is neither queued nor running."""
    return state.partition(" ")[0] in END_STATES


def _state_on_slurm(slurm_state: tuple[str, str] | None, progress: Progress | None, record: Record) -> str:
    word, reason = slurm_state or (None, "")
    if word is not None and word not in END_STATES:
        return f"{word} ({reason})" if word == "PENDING" and reason != "None" else word
    if progress is not None and progress.exit_code is not None and word in ("COMPLETED", "FAILED"):
        is_consistent = (progress.exit_code == FINISHED) == (word == "COMPLETED")
        return progress.outcome if is_consistent else word
    return word or _past_state(progress, record)


def _local_state(run: LaunchedRun, progress: Progress | None, record: Record) -> str:
    has_exit_code = progress is not None and progress.exit_code is not None
    if has_exit_code or record.stopped or not _is_alive_locally(run, record):
        return _past_state(progress, record)
    return "WAITING" if progress is None else progress.outcome


def _is_alive_locally(run: LaunchedRun, record: Record) -> bool:
    if record.host != socket.gethostname():
        raise MotionBeatError(
            f"the launch runs on {record.host}, not on this machine ({socket.gethostname()}); run the "
            f"command there"
        )
    return _is_alive(int(run.job), run.process_started)


def _past_state(progress: Progress | None, record: Record) -> str:
    if progress is not None and progress.exit_code == FINISHED:
        return progress.outcome
    if record.stopped is not None:
        return "STOPPED"
    if progress is None or progress.exit_code is None:
        return "GONE (killed or lost; see its log)"
    return progress.outcome


def end_jobs(record: Record) -> None:
    """Cancel the jobs of a launch on SLURM, or end its processes on this machine.

    Raises:
        MotionBeatError: scancel fails.
    """
    if record.cluster == "slurm":
        for job in record.jobs:
            _cancel(job)
    else:
        for pid, start_time in {(int(run.job), run.process_started) for run in record.runs}:
            _stop_process(pid, start_time)


def require_slurm() -> None:
    """Raise MotionBeatError if SLURM's commands are not installed."""
    for program in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(program) is None:
            raise MotionBeatError(
                f"{program} not found on PATH, so SLURM is not available; use a login node of the cluster, "
                f"or --cluster local"
            )


def query_slurm(job: str) -> dict[str, tuple[str, str]]:
    """State and reason from squeue, by number, of a job or of each job of an array.

    Jobs that ended some minutes ago are missing.

    Raises:
        MotionBeatError: squeue fails.
    """
    require_slurm()
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%i|%T|%r"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        if "Invalid job id" in result.stderr:
            return {}
        raise MotionBeatError(f"squeue: {first_line(result.stderr)}; try again when SLURM answers")
    rows = (line.strip().split("|", 2) for line in result.stdout.splitlines() if line.strip())
    return {number: (state, reason) for number, state, reason in rows}


def _cancel(job: str) -> None:
    """Cancel a job, or all jobs of an array.

    Raises:
        MotionBeatError: scancel fails.
    """
    require_slurm()
    result = subprocess.run(["scancel", job], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise MotionBeatError(f"scancel {job}: {first_line(result.stderr)}; see squeue")


def first_line(text: str) -> str:
    """The first line that is not empty."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


def process_start_time(pid: int) -> float | None:
    """Start of a process in seconds since 1970; None if it has ended."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _is_alive(pid: int, start_time: float | None) -> bool:
    """Return whether the process still runs, and is not a later one with the same number."""
    return start_time is not None and process_start_time(pid) == start_time


def _stop_process(pid: int, start_time: float | None) -> None:
    """End a process of a launch with INT, then KILL, and wait for its end; its children end with it."""
    for signal_number in (signal.SIGINT, signal.SIGKILL):
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        if _is_alive(pid, start_time):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(signal_number)
        while _is_alive(pid, start_time) and time.monotonic() < deadline:
            time.sleep(0.05)

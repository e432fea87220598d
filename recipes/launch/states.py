"""What has become of the runs of a launch."""

from __future__ import annotations

import socket
from pathlib import Path

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.local_process import is_alive
from recipes.launch.progress import FINISHED, Progress, progress_file, read_progress
from recipes.launch.record import Record, launch_folder
from recipes.launch.slurm_commands import queued

OVER = {
    *(
        "FINISHED",
        "STOPPED",
        "GONE",
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
    ),
    *("OUT_OF_MEMORY", "TIMEOUT"),
}
"""Words for a run that is neither queued nor running: three of our own, then SLURM's."""


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
        ended = all(progress is not None and progress.exit_code is not None for progress in told.values())
        alive = not (ended or record.stopped) and _is_alive_here(record)
        return {name: _state_here(alive, progress, record) for name, progress in told.items()}
    answers: dict[str, tuple[str, str]] = {}
    for job in {run.job.partition("_")[0] for run in record.runs}:
        answers |= queued(job)
    return {run.name: _state_on_slurm(answers.get(run.job), told[run.name], record) for run in record.runs}


def is_over(state: str) -> bool:
    """Whether a run in this state is neither queued nor running."""
    return state.partition(" ")[0] in OVER


def is_finished(state: str) -> bool:
    """Whether a run in this state came to its end."""
    return state == "FINISHED"


def _state_on_slurm(answer: tuple[str, str] | None, told: Progress | None, record: Record) -> str:
    word, reason = answer or (None, "")
    if word is not None and word not in OVER:
        return f"{word} ({reason})" if word == "PENDING" and reason != "None" else word
    consistent = told is not None and (told.exit_code == FINISHED) == (word == "COMPLETED")
    if told is not None and word in ("COMPLETED", "FAILED") and told.exit_code is not None and consistent:
        return told.outcome
    return word or _past(told, record)


def _is_alive_here(record: Record) -> bool:
    if record.host != socket.gethostname():
        raise MotionBeatError(
            f"the launch runs on {record.host}, not here ({socket.gethostname()}); ask there"
        )
    return is_alive(int(record.runs[0].job), record.process_started)


def _state_here(alive: bool, told: Progress | None, record: Record) -> str:
    if not alive:
        return _past(told, record)
    return "WAITING" if told is None else told.outcome


def _past(told: Progress | None, record: Record) -> str:
    if told is not None and told.exit_code == FINISHED:
        return told.outcome
    if record.stopped is not None:
        return "STOPPED"
    if told is None or told.exit_code is None:
        return "GONE (killed, or lost; its log may say why)"
    return told.outcome

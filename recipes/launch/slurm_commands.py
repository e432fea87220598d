"""SLURM's own commands, called by name."""

from __future__ import annotations

import shutil
import subprocess

from motionbeat_upstream.errors import MotionBeatError


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


def cancel(job: str) -> None:
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

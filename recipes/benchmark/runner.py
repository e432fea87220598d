"""Runs for a table, none of them twice.

A run's folder holds two marks, ``begun`` and ``done``, each with what the run depends on: data, weights,
settings, versions. A run is complete when ``done`` says what is asked for and its results are there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream import run_downstream
from recipes.downstream.s3prl_runner.run_files import files_of_run, remove
from recipes.downstream.task_run.request import command
from recipes.results.record import results_file


class RunFailed(RuntimeError):
    """A run ended with an error, which it has printed; ``code`` is its exit code."""

    def __init__(self, folder: Path, code: int) -> None:
        super().__init__(f"{folder}: run_downstream.py ended with code {code}")
        self.code = code


@dataclass(frozen=True)
class Job:
    """A run of ``run_downstream.py``."""

    folder: Path
    made_of: str
    """What the run depends on."""
    options: Sequence[str]
    """Of ``run_downstream.py``, but for mode, folder and overrides."""
    overrides: Sequence[str]
    """``config.KEY=VALUE``."""


def run_jobs(jobs: Sequence[Job], quiet: bool = False, overwrite: bool = False) -> None:
    """Train and test what is not done yet.

    A run that was interrupted goes on from its last checkpoint. As S3PRL resumes, its epoch begins anew.

    Args:
        jobs: the runs.
        quiet: write what the runs print to ``log.txt`` in their folders; only errors are printed.
        overwrite: whether runs that are made of something else may be replaced.

    Raises:
        MotionBeatError: a folder holds a run that is made of something else.
        RunFailed: a run ended with an error.
    """
    for number, job in enumerate(jobs, 1):

        def run(job: Job = job, number: int = number) -> None:
            print(f"run {number} of {len(jobs)}: {job.folder.name}", file=sys.stderr)
            overriding = ["-o", ",,".join(job.overrides)] if job.overrides else []
            arguments = command([str(job.folder), *job.options, *overriding])
            log = job.folder / "log.txt"
            code = _run_quietly(arguments, log) if quiet else run_downstream.main(arguments)
            if code:
                raise RunFailed(job.folder, code)

        run_once(job.folder, job.made_of, run, overwrite)


def run_once(folder: Path, made_of: str, run: Callable[[], None], overwrite: bool = False) -> bool:
    """Train and test, unless that is done; returns whether anything was done.

    Args:
        folder: of the run.
        made_of: what the run depends on.
        run: trains, tests and writes the results into the folder; goes on with what it finds there.
        overwrite: whether a run that is made of something else may be replaced.

    Raises:
        MotionBeatError: the folder holds a run that is made of something else.
    """
    begun, done = folder / "begun", folder / "done"
    ended = _says(done, made_of)
    if ended and results_file(folder).is_file():
        return False
    if ended or not _says(begun, made_of):
        earlier = files_of_run(folder)
        trained = any(path.suffix == ".ckpt" or path.name.startswith("scores-test.") for path in earlier)
        if trained and not ended and not overwrite:
            raise MotionBeatError(
                f"{folder}: holds a run of other data, weights, settings or of another version; give another "
                f"OUT, or --overwrite to replace it"
            )
        done.unlink(missing_ok=True)
        remove(earlier)
        write_text(begun, made_of)
    run()
    write_text(done, made_of)
    return True


def _says(mark: Path, made_of: str) -> bool:
    return mark.is_file() and mark.read_text(encoding="utf-8") == made_of


def _run_quietly(arguments: Sequence[str], log: Path) -> int:
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        code = run_downstream.main(arguments)
    if code not in (0, 130):
        errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "error: " in line]
        print(
            f"{errors[-1] if errors else f'run_downstream.py: exit code {code}'} (see {log})", file=sys.stderr
        )
    return code

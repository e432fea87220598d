"""The files of a launch in its folder: its record, and how far each run is, as the jobs write it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import MotionBeatError

LAUNCH_FOLDER = "launch"
"""Subfolder of a launch with its own files: the record, the progress of the runs, the jobs' logs."""

FINISHED = 0
MISTAKE = 2
"""Exit code of a recipe that was asked for what cannot be done."""


@dataclass(frozen=True)
class LaunchedRun:
    """One run of a launch."""

    name: str
    folder: str
    """Where the recipe writes; absolute."""
    job: str
    """SLURM's number of the job, ``12`` or ``12_3`` in an array; elsewhere that of the process."""
    process_started: float | None = None
    """Without SLURM: when the process began, in seconds since 1970; its number alone may be used again."""


@dataclass(frozen=True)
class Record:
    """One launch."""

    cluster: str
    """slurm, local or debug."""
    recipe: str
    host: str
    """The machine that it was launched from, and, without SLURM, runs on."""
    submitted: str
    """Time in UTC, ISO 8601."""
    runs: tuple[LaunchedRun, ...]
    stopped: str | None = None
    """Time at which the user stopped it."""

    @property
    def jobs(self) -> set[str]:
        """SLURM's numbers of the jobs; an array is one job."""
        return {run.job.partition("_")[0] for run in self.runs}


def launch_folder(folder: Path) -> Path:
    """The folder of the launch's own files."""
    return folder / LAUNCH_FOLDER


def write_record(folder: Path, record: Record) -> None:
    """Write or replace the record of the launch in ``folder``."""
    with atomic_path(_path(folder)) as draft:
        draft.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def find_record(folder: Path) -> Record | None:
    """The record of the launch in ``folder``; None where nothing was launched.

    Raises:
        MotionBeatError: the file is not a record.
    """
    path = _path(folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # Earlier versions kept one time for all runs, which were of one process.
        began = {"process_started": content.pop("process_started", None)}
        runs = tuple(LaunchedRun(**(began | run)) for run in content.pop("runs"))
        return Record(runs=runs, **content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MotionBeatError(
            f"{path}: is not a record of a launch ({error}); see to its jobs by hand, then delete the file"
        ) from error


def read_record(folder: Path) -> Record:
    """The record of the launch in ``folder``.

    Raises:
        MotionBeatError: nothing was launched there, or the file is not a record.
    """
    record = find_record(folder)
    if record is None:
        raise MotionBeatError(
            f"{folder}: nothing was launched here; expected a folder that was given as --folder"
        )
    return record


def _path(folder: Path) -> Path:
    return launch_folder(folder) / "record.json"


@dataclass(frozen=True)
class Progress:
    """What a job last told of a run."""

    started: str
    """Time in UTC, ISO 8601, of the last attempt."""
    ended: str | None = None
    exit_code: int | None = None
    """The recipe's; negative: the number of the signal that ended it. None while it runs."""

    @property
    def outcome(self) -> str:
        """One word, and for a failure its cause."""
        if self.exit_code is None:
            return "RUNNING"
        if self.exit_code == FINISHED:
            return "FINISHED"
        cause = "the recipe refused its options" if self.exit_code == MISTAKE else f"exit {self.exit_code}"
        return f"FAILED ({cause})"


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def progress_file(launch: Path, run: str) -> Path:
    """Where the progress of a run is told; ``launch`` is the folder of the launch's own files."""
    return launch / "progress" / f"{run}.json"


def write_progress(path: Path, progress: Progress) -> None:
    """Replace what was told of the run."""
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(asdict(progress)) + "\n", encoding="utf-8")


def read_progress(path: Path) -> Progress | None:
    """What was last told of a run; None: it has not begun."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None

"""The files of a launch: its record, and the progress of each run, which the jobs write."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import MotionBeatError

LAUNCH_FOLDER = "launch"
"""Subfolder of a launch with its own files: the record, the progress of the runs, the logs of the jobs."""

FINISHED = 0
REFUSED = 2
"""Exit code of a recipe that refuses its options."""


@dataclass(frozen=True)
class LaunchedRun:
    """One run of a launch."""

    name: str
    folder: str
    """Output folder of the recipe, absolute."""
    job: str
    """SLURM's job number, ``12`` or ``12_3`` in an array; without SLURM the process number."""
    process_started: float | None = None
    """Without SLURM: start of the process in seconds since 1970, because process numbers are reused."""


@dataclass(frozen=True)
class Record:
    """One launch."""

    cluster: str
    """slurm, local or debug."""
    recipe: str
    host: str
    """Machine of the launch command; without SLURM also that of the processes."""
    submitted: str
    """Time in UTC, ISO 8601."""
    runs: tuple[LaunchedRun, ...]
    stopped: str | None = None
    """Time at which the user stopped it."""

    @property
    def jobs(self) -> set[str]:
        """SLURM's job numbers; an array is one job."""
        return {run.job.partition("_")[0] for run in self.runs}


def launch_folder(folder: Path) -> Path:
    """Folder of the launch's own files."""
    return folder / LAUNCH_FOLDER


def write_record(folder: Path, record: Record) -> None:
    """Write or replace the record of the launch in ``folder``."""
    with atomic_path(_path(folder)) as draft:
        draft.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def find_record(folder: Path) -> Record | None:
    """Read the record of the launch in ``folder``; None if there is none.

    Raises:
        MotionBeatError: the file is not a record.
    """
    path = _path(folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # Earlier versions stored one start time, because all runs were in one process.
        defaults = {"process_started": content.pop("process_started", None)}
        runs = tuple(LaunchedRun(**(defaults | run)) for run in content.pop("runs"))
        return Record(runs=runs, **content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MotionBeatError(
            f"{path}: is not a record of a launch ({error}); end its jobs by hand, then delete the file"
        ) from error


def read_record(folder: Path) -> Record:
    """Read the record of the launch in ``folder``.

    Raises:
        MotionBeatError: there is no launch, or the file is not a record.
    """
    record = find_record(folder)
    if record is None:
        raise MotionBeatError(f"{folder}: contains no launch; expected the --folder of an earlier launch")
    return record


def _path(folder: Path) -> Path:
    return launch_folder(folder) / "record.json"


@dataclass(frozen=True)
class Progress:
    """Progress of a run, written by its job."""

    started: str
    """Start of the last attempt, in UTC, ISO 8601."""
    ended: str | None = None
    exit_code: int | None = None
    """Exit code of the recipe, or minus the signal that ended it; None while it runs."""

    @property
    def outcome(self) -> str:
        """State in one word, for a failure with its cause."""
        if self.exit_code is None:
            return "RUNNING"
        if self.exit_code == FINISHED:
            return "FINISHED"
        cause = "the recipe refused its options" if self.exit_code == REFUSED else f"exit {self.exit_code}"
        return f"FAILED ({cause})"


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def progress_file(launch: Path, run: str) -> Path:
    """File with the progress of a run; ``launch`` is the folder of the launch's own files."""
    return launch / "progress" / f"{run}.json"


def write_progress(path: Path, progress: Progress) -> None:
    """Write the progress of a run."""
    with atomic_path(path) as draft:
        draft.write_text(json.dumps(asdict(progress)) + "\n", encoding="utf-8")


def read_progress(path: Path) -> Progress | None:
    """Read the progress of a run; None if it has not started."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None

"""The record of a launch, in its folder: all that watching and stopping need to know."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import MotionBeatError

LAUNCH_FOLDER = "launch"
"""Subfolder of a launch with its own files: the record, the progress of the runs, the jobs' logs."""


@dataclass(frozen=True)
class LaunchedRun:
    """One run of a launch."""

    name: str
    folder: str
    """Where the recipe writes; absolute."""
    job: str
    """SLURM's number of the job, ``12`` or ``12_3`` in an array; elsewhere that of the process."""


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
    process_started: float | None = None
    """Without SLURM: when the process began, in seconds since 1970; its number alone may be used again."""
    stopped: str | None = None
    """Time at which the user stopped it."""


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
        runs = tuple(LaunchedRun(**run) for run in content.pop("runs"))
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

"""The outcome of each file, recorded line by line in the journals of the tasks."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from recipes.launch.files.file_list import FileList
from recipes.launch.record import launch_folder

Status = Literal["begun", "done", "failed"]


@dataclass(frozen=True)
class Outcome:
    """The last recorded outcome of a file."""

    file: str
    status: Status
    launch: float
    """``launch`` of the task's list."""
    made_by: str
    """Hash of ``made_by`` of the task's list."""
    reason: str = ""
    """Reason of a failure, in one line."""
    seconds: float | None = None
    """Processing time; None if the output existed already."""

    def is_settled(self, file_list: FileList) -> bool:
        """Return whether the file is done, or has failed in this launch."""
        if self.status == "failed":
            return self.launch == file_list.launch
        return self.status == "done" and self.made_by == made_by_hash(file_list)


def made_by_hash(file_list: FileList) -> str:
    """Hash of ``made_by``, which is too long for every line."""
    return hashlib.sha256(file_list.made_by.encode()).hexdigest()[:16]


def read_outcomes(folder: Path) -> dict[str, Outcome]:
    """Read the last outcome of each file, over all tasks of all launches in ``folder``."""
    latest: dict[str, tuple[float, Outcome]] = {}
    for path in (launch_folder(folder) / "tasks").glob("*/metrics/files.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                time_stamp, outcome = float(record["Time"]), Outcome(**record["outcome"])
            except (ValueError, TypeError, KeyError):
                continue  # incomplete after a kill
            if outcome.file not in latest or time_stamp >= latest[outcome.file][0]:
                latest[outcome.file] = time_stamp, outcome
    return {file: outcome for file, (_, outcome) in latest.items()}


class Journal:
    """Journal of a task, one line per event, written immediately.

    Args:
        folder: folder of the task.
        file_list: list of the launch.
        files: number of files of the task.
    """

    def __init__(self, folder: Path, file_list: FileList, files: int) -> None:
        path = folder / "metrics" / "files.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        # End a line that is incomplete after a kill.
        self._file.write("\n" if self._file.tell() else "")
        self._file_list, self._made_by, self._files = file_list, made_by_hash(file_list), files
        self.done = self.failed = 0

    def write(
        self,
        file: str,
        status: Status,
        reason: str = "",
        seconds: float | None = None,
        by_this_command: bool = True,
    ) -> None:
        """Add a line; ``by_this_command`` is false for a failure because of another program's output."""
        self.done += status == "done"
        self.failed += status == "failed"
        made_by = self._made_by if by_this_command else ""
        outcome = Outcome(file, status, self._file_list.launch, made_by, reason, seconds)
        # For `recipes.launch watch`.
        numbers = {"Step": self.done + self.failed, "of": self._files, "failed": self.failed}
        line = {"Time": time.time(), **numbers, "outcome": asdict(outcome)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

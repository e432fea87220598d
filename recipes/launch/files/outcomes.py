"""What became of each file, as the tasks tell it line by line."""

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
    """What a task last told of a file."""

    file: str
    status: Status
    launch: float
    """Of the list that the task worked on."""
    made_by: str
    """Hash of what the list's outputs are made by."""
    reason: str = ""
    """Why it failed, on one line."""
    seconds: float | None = None
    """That it took; None where it was there already."""

    def settled(self, asked: FileList) -> bool:
        """Whether nothing is left to do for the file in this launch: it is made, or has failed in it."""
        if self.status == "failed":
            return self.launch == asked.launch
        return self.status == "done" and self.made_by == made_by_hash(asked)


def made_by_hash(asked: FileList) -> str:
    """A hash of what the outputs are made by; lines hold it in the place of the whole text."""
    return hashlib.sha256(asked.made_by.encode()).hexdigest()[:16]


def read_outcomes(folder: Path) -> dict[str, Outcome]:
    """The last outcome of each file of which any task of any launch in ``folder`` has told."""
    found: dict[str, tuple[float, Outcome]] = {}
    for path in (launch_folder(folder) / "tasks").glob("*/metrics/files.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                told = json.loads(line)
                when, outcome = float(told["Time"]), Outcome(**told["outcome"])
            except (ValueError, TypeError, KeyError):
                continue  # cut off by a kill
            if outcome.file not in found or when >= found[outcome.file][0]:
                found[outcome.file] = when, outcome
    return {file: outcome for file, (_, outcome) in found.items()}


class Journal:
    """What one task tells, a line each; it is written before anything else is done.

    Args:
        folder: the task's own.
        asked: the list.
        files: number of files of the task.
    """

    def __init__(self, folder: Path, asked: FileList, files: int) -> None:
        path = folder / "metrics" / "files.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        # A line that a kill has cut off is ended.
        self._file.write("\n" if self._file.tell() else "")
        self._asked, self._made_by, self._files = asked, made_by_hash(asked), files
        self.done = self.failed = 0

    def tell(
        self, file: str, status: Status, reason: str = "", seconds: float | None = None, ours: bool = True
    ) -> None:
        """Add a line; ``ours`` is false of a failure for an output that something else made."""
        self.done += status == "done"
        self.failed += status == "failed"
        made_by = self._made_by if ours else ""
        outcome = Outcome(file, status, self._asked.launch, made_by, reason, seconds)
        # `recipes.launch watch` shows step and numbers.
        numbers = {"Step": self.done + self.failed, "of": self._files, "failed": self.failed}
        line = {"Time": time.time(), **numbers, "outcome": asdict(outcome)}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

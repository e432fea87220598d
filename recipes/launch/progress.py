"""How far each run of a launch is: a small file per run, written by the job itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from motionbeat_upstream.atomic_write import atomic_path

FINISHED = 0
MISTAKE = 2
"""Exit code of a recipe that was asked for what cannot be done."""


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

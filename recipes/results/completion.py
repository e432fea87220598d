"""Whether a run is complete: the one place that decides it.

A run's folder holds two marks, ``begun`` and ``done``, each with what the run depends on: data, weights,
settings, versions. A run is complete when ``done`` says what is asked for and its results are there.
"""

from __future__ import annotations

from pathlib import Path

from motionbeat_upstream.atomic_write import write_text
from recipes.results.record import results_file

BEGUN, DONE = "begun", "done"


def is_complete(folder: Path, made_of: str) -> bool:
    """Whether a run that depends on ``made_of`` was finished, and its results are there."""
    return has_ended(folder, made_of) and results_file(folder).is_file()


def has_ended(folder: Path, made_of: str) -> bool:
    """Whether a run that depends on ``made_of`` was finished, whatever became of its results."""
    return _says(folder / DONE, made_of)


def can_continue(folder: Path, made_of: str) -> bool:
    """Whether a run that depends on ``made_of`` was begun and not finished."""
    return _says(folder / BEGUN, made_of) and not (folder / DONE).exists()


def mark_begun(folder: Path, made_of: str) -> None:
    """Note that a run begins anew."""
    (folder / DONE).unlink(missing_ok=True)
    write_text(folder / BEGUN, made_of)


def mark_complete(folder: Path, made_of: str) -> None:
    """Note that a run was finished."""
    write_text(folder / DONE, made_of)


def _says(mark: Path, made_of: str) -> bool:
    return mark.is_file() and mark.read_text(encoding="utf-8") == made_of

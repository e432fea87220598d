"""Runs of ``run_downstream.py`` for a table, none of them twice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream import run_downstream
from recipes.downstream.earlier_run import files_of_run, holds_training, remove
from recipes.downstream.errors import TaskError
from recipes.downstream.task_run.request import command


class RunFailed(RuntimeError):
    """A run ended with an error, which it has told; ``code`` is its exit code."""

    def __init__(self, folder: Path, code: int) -> None:
        super().__init__(f"{folder}: run_downstream.py ended with code {code}")
        self.code = code


def run_once(
    folder: Path,
    made_of: str,
    options: Sequence[str],
    overrides: Sequence[str],
    said: str,
    *,
    quiet: bool = False,
    overwrite: bool = False,
) -> bool:
    """Train and test, unless that is done; returns whether anything was done.

    A run that was interrupted goes on from its last checkpoint. As S3PRL resumes, its epoch begins anew.

    Args:
        folder: of the run; ``begun`` and ``done`` in it say that it has begun, that it is whole, and what it
            is made of.
        made_of: what the run depends on.
        options: of ``run_downstream.py``, but for mode, folder and overrides.
        overrides: ``config.KEY=VALUE``.
        said: printed before it is begun.
        quiet: write what the run prints to ``log.txt`` in the folder; only an error is printed.
        overwrite: whether a run that is made of something else may be replaced.

    Raises:
        TaskError: the folder holds a run that is made of something else.
        RunFailed: it ended with an error.
    """
    begun, done = folder / "begun", folder / "done"
    if _holds(done, made_of):
        return False
    if not _holds(begun, made_of):
        earlier = files_of_run(folder)
        if holds_training(earlier):
            refuse_other_run(folder, overwrite)
        done.unlink(missing_ok=True)
        remove(earlier)
        _write(begun, made_of)
    print(said, file=sys.stderr)
    overriding = ["-o", ",,".join(overrides)] if overrides else []
    arguments = command([str(folder), *options, *overriding])
    code = _run_quietly(arguments, folder / "log.txt") if quiet else run_downstream.main(arguments)
    if code:
        raise RunFailed(folder, code)
    _write(done, made_of)
    return True


def refuse_other_run(folder: Path, overwrite: bool) -> None:
    """Check that a run that is made of something else may be replaced.

    Raises:
        TaskError: it may not.
    """
    if not overwrite:
        raise TaskError(
            f"{folder}: holds a run of other data, weights, settings or of another version; give another "
            f"OUT, or --overwrite to replace it"
        )


def _run_quietly(arguments: Sequence[str], log: Path) -> int:
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        code = run_downstream.main(arguments)
    if code not in (0, 130):
        errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "error: " in line]
        print(
            f"{errors[-1] if errors else f'run_downstream.py: exit code {code}'} (see {log})", file=sys.stderr
        )
    return code


def _holds(path: Path, made_of: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == made_of


def _write(path: Path, made_of: str) -> None:
    with atomic_path(path) as draft:
        draft.write_text(made_of, encoding="utf-8")

"""Runs of ``run_downstream.py`` for a table, none of them twice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream import run_downstream
from recipes.downstream.task_run.request import command


class RunFailed(RuntimeError):
    """A run ended with an error, which it has told; ``code`` is its exit code."""

    def __init__(self, folder: Path, code: int) -> None:
        super().__init__(f"{folder}: run_downstream.py ended with code {code}")
        self.code = code


def run_once(folder: Path, made_of: str, options: Sequence[str], overrides: Sequence[str], said: str) -> bool:
    """Train and test, unless that is done; returns whether anything was done.

    A run that was interrupted goes on from its last checkpoint. As S3PRL resumes, its epoch begins anew.

    Args:
        folder: of the run; ``begun`` and ``done`` in it say that it has begun, that it is whole, and what it
            is made of.
        made_of: what the run depends on.
        options: of ``run_downstream.py``, but for mode, folder and overrides.
        overrides: ``config.KEY=VALUE``.
        said: printed before it is begun.

    Raises:
        RunFailed: it ended with an error.
    """
    begun, done = folder / "begun", folder / "done"
    if _holds(done, made_of):
        return False
    print(said, file=sys.stderr)
    if not _holds(begun, made_of):
        done.unlink(missing_ok=True)
        for of_another in folder.glob("states-*.ckpt"):
            of_another.unlink()
        _write(begun, made_of)
    overriding = ["-o", ",,".join(overrides)] if overrides else []
    code = run_downstream.main(command([str(folder), *options, *overriding]))
    if code:
        raise RunFailed(folder, code)
    _write(done, made_of)
    return True


def _holds(path: Path, made_of: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == made_of


def _write(path: Path, made_of: str) -> None:
    with atomic_path(path) as draft:
        draft.write_text(made_of, encoding="utf-8")

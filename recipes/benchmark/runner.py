"""Runs of ``run_downstream.py`` for a table, none of them twice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream import run_downstream


class RunFailed(RuntimeError):
    """A run ended with an error, which it has told; ``code`` is its exit code."""

    def __init__(self, folder: Path, code: int) -> None:
        super().__init__(f"{folder}: run_downstream.py ended with code {code}")
        self.code = code


def run_once(folder: Path, made_of: str, options: Sequence[str], overrides: Sequence[str], said: str) -> bool:
    """Train and test, unless that is done; returns whether it was done anew.

    Args:
        folder: of the run; the file ``done`` in it says that it is whole, and what it was made of.
        made_of: what the run depends on.
        options: of ``run_downstream.py``, but for mode, folder and overrides.
        overrides: ``config.KEY=VALUE``.
        said: printed before it is begun.

    Raises:
        RunFailed: it ended with an error.
    """
    done = folder / "done"
    if done.is_file() and done.read_text(encoding="utf-8") == made_of:
        return False
    print(said, file=sys.stderr)
    code = run_downstream.main(
        ["-m", "train", *options, "-p", str(folder), *(["-o", ",,".join(overrides)] if overrides else [])]
    )
    if code:
        raise RunFailed(folder, code)
    with atomic_path(done) as draft:
        draft.write_text(made_of, encoding="utf-8")
    return True

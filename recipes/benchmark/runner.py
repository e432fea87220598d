"""Runs for a table, none of them twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

from recipes.downstream import run_downstream
from recipes.downstream.earlier_run import files_of_run, remove
from recipes.downstream.errors import TaskError
from recipes.downstream.task_run.request import command
from recipes.results.completion import can_continue, has_ended, is_complete, mark_begun, mark_complete
from recipes.results.record import Results, read_results, results_file


class RunFailed(RuntimeError):
    """A run ended with an error, which it has printed; ``code`` is its exit code."""

    def __init__(self, folder: Path, code: int) -> None:
        super().__init__(f"{folder}: run_downstream.py ended with code {code}")
        self.code = code


def run_once(folder: Path, made_of: str, run: Callable[[], None], overwrite: bool = False) -> bool:
    """Train and test, unless that is done; returns whether anything was done.

    Args:
        folder: of the run.
        made_of: what the run depends on.
        run: trains, tests and writes the results into the folder; goes on with what it finds there.
        overwrite: whether a run that is made of something else may be replaced.

    Raises:
        TaskError: the folder holds a run that is made of something else.
    """
    if is_complete(folder, made_of):
        return False
    if not can_continue(folder, made_of):
        earlier = files_of_run(folder)
        trained = any(path.suffix == ".ckpt" or path.name.startswith("scores-test.") for path in earlier)
        if trained and not overwrite and not has_ended(folder, made_of):
            raise TaskError(
                f"{folder}: holds a run of other data, weights, settings or of another version; give another "
                f"OUT, or --overwrite to replace it"
            )
        remove(earlier)
        mark_begun(folder, made_of)
    run()
    mark_complete(folder, made_of)
    return True


def run_task(
    folder: Path, options: Sequence[str], overrides: Sequence[str], description: str, quiet: bool = False
) -> None:
    """Train and test by ``run_downstream.py``.

    A run that was interrupted goes on from its last checkpoint. As S3PRL resumes, its epoch begins anew.

    Args:
        folder: of the run.
        options: of ``run_downstream.py``, but for mode, folder and overrides.
        overrides: ``config.KEY=VALUE``.
        description: printed before it begins.
        quiet: write what the run prints to ``log.txt`` in the folder; only an error is printed.

    Raises:
        RunFailed: it ended with an error.
    """
    print(description, file=sys.stderr)
    overriding = ["-o", ",,".join(overrides)] if overrides else []
    arguments = command([str(folder), *options, *overriding])
    code = _run_quietly(arguments, folder / "log.txt") if quiet else run_downstream.main(arguments)
    if code:
        raise RunFailed(folder, code)


def results_of(folders: Iterable[Path], upstream: str) -> list[list[Results]]:
    """The results of each run, with the upstream called as tables call it.

    Raises:
        DataError: results that are missing, or cannot be read.
    """
    found = []
    for folder in folders:
        own, *others = read_results(results_file(folder))
        found.append([replace(own, run=replace(own.run, upstream=upstream)), *others])
    return found


def _run_quietly(arguments: Sequence[str], log: Path) -> int:
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        code = run_downstream.main(arguments)
    if code not in (0, 130):
        errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "error: " in line]
        print(
            f"{errors[-1] if errors else f'run_downstream.py: exit code {code}'} (see {log})", file=sys.stderr
        )
    return code

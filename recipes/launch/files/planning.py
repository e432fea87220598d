"""What a list of files becomes before anything is queued: a checked list, and a run for each task."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.files.commands import file_command
from recipes.launch.files.file_list import FileList, read_files, task_folder
from recipes.launch.files.outcomes import made_by_hash, read_outcomes
from recipes.launch.runs import Run


def plan_files(
    folder: Path,
    command: str,
    options: Sequence[str],
    names: Path,
    root: Path | None,
    tasks: int,
    overwrite: bool,
    at_once: bool,
) -> FileList:
    """What a launch is to do, refused now where it would be refused when the jobs start.

    Args:
        folder: where the outputs go.
        command: one of ``FILE_COMMANDS``.
        options: its own.
        names: the list of files; see :func:`read_files` for it and ``root``.
        root: folder above all files.
        tasks: how many share the files; fewer where there are fewer files, which is printed.
        overwrite: whether outputs that something else made are replaced.
        at_once: whether the tasks begin together on this machine.

    Raises:
        MotionBeatError: a list, options or a model that cannot be used; two files of one output; or outputs
            of other options are there and ``overwrite`` is false.
    """
    if tasks < 1:
        raise MotionBeatError(f"--tasks {tasks}: expected at least 1")
    chosen = file_command(command, options, folder)
    files = read_files(names, root)
    chosen.refuse_one_output(files)
    # The jobs may have another device than this machine, and the weights are the same on each.
    chosen.options.device = "cpu"
    _, made_by = chosen.load()
    asked = FileList(
        command,
        tuple(options),
        made_by,
        overwrite,
        min(tasks, len(files)),
        tuple(files),
        tuple(
            tuple(output.relative_to(folder).as_posix() for output in chosen.outputs(Path(relative)))
            for _, relative in files
        ),
        at_once,
        time.time(),
    )
    if not overwrite:
        _refuse_others(folder, asked)
    if asked.tasks < tasks:
        print(
            f"--tasks {tasks}: there are {len(files)} files, so {asked.tasks} tasks are made", file=sys.stderr
        )
    return asked


def runs_of(folder: Path, asked: FileList) -> list[Run]:
    """A run for each task."""
    return [
        Run(f"task{task}", task_folder(folder, task), (str(folder), str(task))) for task in range(asked.tasks)
    ]


def _refuse_others(folder: Path, asked: FileList) -> None:
    outcomes, current = read_outcomes(folder), made_by_hash(asked)
    others = [
        folder / output
        for (file, _), (output, *_) in zip(asked.files, asked.outputs, strict=True)
        if file in outcomes and outcomes[file].made_by not in (current, "") and (folder / output).exists()
    ]
    if others:
        raise MotionBeatError(
            f"{others[0]}: was made by another model or version, or with other options ({len(others)} of "
            f"{len(asked.files)} outputs were); give another --folder, or --overwrite to replace them"
        )

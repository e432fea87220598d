"""Plan a launch on a list of files: check the list and options, and create a run for each task."""

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
    list_path: Path,
    root: Path | None,
    tasks: int,
    overwrite: bool,
    concurrent: bool,
) -> FileList:
    """Plan and check a launch, so that errors are reported before jobs are queued.

    Args:
        folder: folder for the outputs.
        command: one of ``FILE_COMMANDS``.
        options: options of the command.
        list_path: list of files; see :func:`read_files` for it and ``root``.
        root: parent folder of all files.
        tasks: maximum number of tasks; reduced to the number of files, with a message.
        overwrite: whether to replace outputs of other commands, options or versions.
        concurrent: whether the tasks run simultaneously on this machine.

    Raises:
        MotionBeatError: an invalid list, options or model; two files with the same output; or existing
            outputs of other options without ``overwrite``.
    """
    if tasks < 1:
        raise MotionBeatError(f"--tasks {tasks}: expected at least 1")
    handler = file_command(command, options, folder)
    files = read_files(list_path, root)
    handler.check_distinct_outputs(files)
    # This machine may lack the device of the jobs.
    handler.options.device = "cpu"
    _, made_by = handler.load()
    file_list = FileList(
        command,
        tuple(options),
        made_by,
        overwrite,
        min(tasks, len(files)),
        tuple(files),
        tuple(
            tuple(output.relative_to(folder).as_posix() for output in handler.outputs(Path(relative)))
            for _, relative in files
        ),
        concurrent,
        time.time(),
    )
    if not overwrite:
        _check_existing_outputs(folder, file_list)
    if file_list.tasks < tasks:
        print(f"--tasks {tasks}: reduced to {file_list.tasks}, the number of files", file=sys.stderr)
    return file_list


def file_runs(folder: Path, file_list: FileList) -> list[Run]:
    """Create a run for each task."""
    return [
        Run(f"task{task}", task_folder(folder, task), (str(folder), str(task)))
        for task in range(file_list.tasks)
    ]


def _check_existing_outputs(folder: Path, file_list: FileList) -> None:
    outcomes, current = read_outcomes(folder), made_by_hash(file_list)
    other_outputs = [
        folder / output
        for (file, _), (output, *_) in zip(file_list.files, file_list.outputs, strict=True)
        if file in outcomes and outcomes[file].made_by not in (current, "") and (folder / output).exists()
    ]
    if other_outputs:
        raise MotionBeatError(
            f"{other_outputs[0]}: was made by another model or version, or with other options, as were "
            f"{len(other_outputs)} of {len(file_list.files)} outputs; give another --folder, or --overwrite "
            f"to replace them"
        )

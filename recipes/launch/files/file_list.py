"""The files of a launch and what is to be made of them, as one file in the launch's folder."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.errors import MotionBeatError
from recipes.launch.record import launch_folder


@dataclass(frozen=True)
class FileList:
    """What a launch does with which files."""

    command: str
    options: tuple[str, ...]
    """Of the command."""
    made_by: str
    """What the outputs are made by; see ``motionbeat_upstream/commands/made_by.py``."""
    overwrite: bool
    """Whether outputs that something else made are replaced."""
    tasks: int
    files: tuple[tuple[str, str], ...]
    """Each file, absolute, and what its outputs are called after; file k is task k mod ``tasks``'s."""
    outputs: tuple[tuple[str, ...], ...]
    """Of each file, in the folder of the launch; of EDGE's slices the first."""
    at_once: bool
    """Whether the tasks are processes of one machine that begin together."""
    launch: float
    """When it was launched, in seconds since 1970: what failed before is tried again."""


def read_files(path: Path, root: Path | None) -> list[tuple[str, str]]:
    """The files that a list names, a line each, with the relative paths of their outputs.

    Args:
        path: the list. Relative names begin at the working directory. Empty lines are passed over; a file
            that is named again is taken once, and a line is printed.
        root: outputs lie as the files do below it; None: all in one folder.

    Raises:
        MotionBeatError: no such list, or it is empty; lines that name no file, or files outside ``root``.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MotionBeatError(
            f"--files {path}: {error.strerror}; expected a text file with the name of a file in each line"
        ) from error
    if b"\0" in content:
        raise MotionBeatError(
            f"--files {path}: is no text; expected a text file with the name of a file in each line"
        )
    named = [
        (number, os.fsdecode(line.rstrip(b"\r")))
        for number, line in enumerate(content.split(b"\n"), 1)
        if line.strip()
    ]
    if not named:
        raise MotionBeatError(f"--files {path}: is empty; expected the name of a file in each line")
    absent = [(number, name) for number, name in named if not os.path.isfile(name)]
    if absent:
        number, name = absent[0]
        found = "is a folder; name its files" if os.path.isdir(name) else "no such file"
        raise MotionBeatError(
            f"--files {path}: line {number}: {name}: {found}; {len(absent)} of {len(named)} lines name none"
        )
    files = list(dict.fromkeys(os.path.abspath(name) for _, name in named))
    if len(files) < len(named):
        print(
            f"--files {path}: {len(named) - len(files)} lines name a file again, which is taken once",
            file=sys.stderr,
        )
    if root is None:
        return [(file, os.path.basename(file)) for file in files]
    above = os.path.join(os.path.abspath(root), "")
    outside = [file for file in files if not file.startswith(above)]
    if outside:
        raise MotionBeatError(
            f"--root {root}: {outside[0]} is not in it ({len(outside)} of {len(files)} files are not); "
            f"give a folder above all files"
        )
    return [(file, file.removeprefix(above)) for file in files]


def task_folder(folder: Path, task: int) -> Path:
    """Where a task tells what became of its files."""
    return launch_folder(folder) / "tasks" / f"task{task}"


def write_list(folder: Path, asked: FileList) -> None:
    """Put on record what is launched in ``folder``."""
    write_text(_path(folder), json.dumps(asdict(asked)) + "\n")


def read_list(folder: Path) -> FileList:
    """What was launched in ``folder``.

    Raises:
        MotionBeatError: no list of files was.
    """
    try:
        content = json.loads(_path(folder).read_text(encoding="utf-8"))
        files = tuple((file, relative) for file, relative in content.pop("files"))
        outputs = tuple(map(tuple, content.pop("outputs")))
        return FileList(files=files, outputs=outputs, options=tuple(content.pop("options")), **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise MotionBeatError(
            f"{_path(folder)}: cannot be read ({error}); expected a folder that was the --folder of "
            f"`recipes.launch features`, `beats` or `dance`"
        ) from error


def _path(folder: Path) -> Path:
    return launch_folder(folder) / "files.json"

"""The list of files of a launch, stored in the folder of the launch."""

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
    """A command, its options and its files."""

    command: str
    options: tuple[str, ...]
    """Options of the command."""
    made_by: str
    """Identification of the outputs; see ``motionbeat_upstream/commands/made_by.py``."""
    overwrite: bool
    """Whether to replace outputs of other commands, options or versions."""
    tasks: int
    files: tuple[tuple[str, str], ...]
    """Absolute path of each file, and the relative path of its outputs; file k belongs to task k mod
    ``tasks``."""
    outputs: tuple[tuple[str, ...], ...]
    """Outputs of each file, relative to the folder of the launch; of EDGE's slices only the first."""
    at_once: bool
    """Whether the tasks are simultaneous processes on one machine."""
    launch: float
    """Time of the launch in seconds since 1970; earlier failures are retried."""


def read_files(path: Path, root: Path | None) -> list[tuple[str, str]]:
    """Read a list of files, one per line, and return each with the relative path of its outputs.

    Args:
        path: the list. Names are relative to the working directory. Empty lines are ignored; duplicates are
            used once, with a message.
        root: parent folder of all files, whose structure the outputs keep; None: all outputs in one folder.

    Raises:
        MotionBeatError: no such list, an empty list, lines without a file, or files outside ``root``.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MotionBeatError(
            f"--files {path}: {error.strerror}; expected a text file with one file name per line"
        ) from error
    if b"\0" in content:
        raise MotionBeatError(f"--files {path}: is not a text file; expected one file name per line")
    lines = [
        (number, os.fsdecode(line.rstrip(b"\r")))
        for number, line in enumerate(content.split(b"\n"), 1)
        if line.strip()
    ]
    if not lines:
        raise MotionBeatError(f"--files {path}: is empty; expected one file name per line")
    missing = [(number, name) for number, name in lines if not os.path.isfile(name)]
    if missing:
        number, name = missing[0]
        reason = "is a folder; name its files" if os.path.isdir(name) else "no such file"
        raise MotionBeatError(
            f"--files {path}: line {number}: {name}: {reason}; {len(missing)} of {len(lines)} lines are not "
            f"files"
        )
    files = list(dict.fromkeys(os.path.abspath(name) for _, name in lines))
    if len(files) < len(lines):
        print(f"--files {path}: {len(lines) - len(files)} duplicate lines are ignored", file=sys.stderr)
    if root is None:
        return [(file, os.path.basename(file)) for file in files]
    prefix = os.path.join(os.path.abspath(root), "")
    outside = [file for file in files if not file.startswith(prefix)]
    if outside:
        raise MotionBeatError(
            f"--root {root}: {outside[0]} is not in it ({len(outside)} of {len(files)} files are not); "
            f"give a parent folder of all files"
        )
    return [(file, file.removeprefix(prefix)) for file in files]


def task_folder(folder: Path, task: int) -> Path:
    """Folder for the journal of a task."""
    return launch_folder(folder) / "tasks" / f"task{task}"


def write_file_list(folder: Path, file_list: FileList) -> None:
    """Write the list of the launch in ``folder``."""
    write_text(_path(folder), json.dumps(asdict(file_list)) + "\n")


def read_file_list(folder: Path) -> FileList:
    """Read the list of the launch in ``folder``.

    Raises:
        MotionBeatError: there is no valid list.
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

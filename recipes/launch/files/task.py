"""The work of one task: its files of the list, one after the other."""

from __future__ import annotations

import errno
import time
import traceback
from pathlib import Path

from motionbeat_upstream.atomic_write import stops_writing
from motionbeat_upstream.commands.command import one_line
from motionbeat_upstream.commands.many_files import Make
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.threads import use_idle_cores
from recipes.launch.files.commands import file_command
from recipes.launch.files.file_list import FileList
from recipes.launch.files.outcomes import Journal, made_by_hash, read_outcomes


def work(asked: FileList, out: Path, folder: Path, task: int) -> int:
    """Make the outputs that a task's files lack, and tell of each in ``folder``.

    Returns:
        How many of its files have failed in this launch.

    Raises:
        MotionBeatError: the model is another than when the list was launched.
        OSError: nothing more can be written.
    """
    mine = asked.files[task :: asked.tasks]
    command = file_command(asked.command, asked.options, out)
    outcomes, current = read_outcomes(out), made_by_hash(asked)
    journal = Journal(folder, asked, len(mine))
    left: list[tuple[str, Path]] = []
    interrupted: list[tuple[str, Path]] = []
    for file, name in mine:
        outcome, relative = outcomes.get(file), Path(name)
        told = outcome.status if outcome is not None and outcome.made_by == current else None
        found = command.found(relative, asked.made_by, told)
        if outcome is not None and outcome.status == "failed" and outcome.launch == asked.launch:
            journal.failed += 1
        elif found == "whole" and told == "done":
            journal.done += 1
        elif found == "whole":
            journal.tell(file, "done")
        elif found == "foreign" and not asked.overwrite:
            output = command.outputs(relative)[0]
            reason = (
                f"{output}: is there and was not made by this command with these options; see --overwrite"
            )
            journal.tell(file, "failed", reason, ours=False)
        else:
            # A file that ended its task, for want of memory perhaps, must not keep the others back again.
            (interrupted if told == "begun" else left).append((file, relative))
    if not left and not interrupted:
        return journal.failed
    # Tasks on this machine begin together; what SLURM gives a job is what it may use.
    use_idle_cores(asked.tasks if asked.at_once else 1)
    make, made_by = command.load()
    if made_by != asked.made_by:
        raise MotionBeatError(
            f"the model or the program has changed since the launch ({made_by}; expected {asked.made_by}); "
            f"launch again"
        )
    for file, relative in left + interrupted:
        journal.tell(file, "begun")
        began = time.monotonic()
        reason = _failure(make, Path(file), relative)
        journal.tell(file, "failed" if reason else "done", reason, time.monotonic() - began)
    return journal.failed


def _failure(make: Make, path: Path, relative: Path) -> str:
    """Make the outputs of a file; returns why it cannot be done, on one line, or nothing.

    Raises:
        OSError: no other file could be written either.
    """
    try:
        make(path, relative)
    except OSError as error:
        if stops_writing(error) or error.errno == errno.EACCES:
            raise
        if error.errno == errno.ENAMETOOLONG:
            return f"{path}: the name of its output is too long for the file system; shorten it"
        return f"{path}: {one_line(error)}"
    except MotionBeatError as error:
        return one_line(error)
    except Exception as error:
        # Of the program, or of the machine, such as a GPU's memory: told in full, but the others go on.
        traceback.print_exc()
        return f"{path}: {type(error).__name__}: {one_line(error)}; see the task's log"
    return ""

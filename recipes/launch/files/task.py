"""Process the files of one task, one after the other."""

from __future__ import annotations

import errno
import time
import traceback
from pathlib import Path

from motionbeat_upstream.atomic_write import is_unwritable_disk
from motionbeat_upstream.commands.command import one_line
from motionbeat_upstream.commands.many_files import OutputWriter
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.threads import use_idle_cores
from recipes.launch.files.commands import file_command
from recipes.launch.files.file_list import FileList
from recipes.launch.files.outcomes import Journal, made_by_hash, read_outcomes


def process_files(file_list: FileList, out: Path, folder: Path, task: int) -> int:
    """Create the missing outputs of a task's files, with a journal in ``folder``.

    Returns:
        Number of its files that failed in this launch.

    Raises:
        MotionBeatError: the model has changed since the launch.
        OSError: no more files can be written.
    """
    own_files = file_list.files[task :: file_list.tasks]
    command = file_command(file_list.command, file_list.options, out)
    outcomes, current = read_outcomes(out), made_by_hash(file_list)
    journal = Journal(folder, file_list, len(own_files))
    remaining: list[tuple[str, Path]] = []
    interrupted: list[tuple[str, Path]] = []
    for file, name in own_files:
        outcome, relative = outcomes.get(file), Path(name)
        status = outcome.status if outcome is not None and outcome.made_by == current else None
        output_state = command.output_state(relative, file_list.made_by, status)
        if outcome is not None and outcome.status == "failed" and outcome.launch == file_list.launch:
            journal.failed += 1
        elif output_state == "complete" and status == "done":
            journal.done += 1
        elif output_state == "complete":
            journal.write(file, "done")
        elif output_state == "foreign" and not file_list.overwrite:
            output = command.outputs(relative)[0]
            reason = f"{output}: exists and was not made by this command with these options; see --overwrite"
            journal.write(file, "failed", reason, by_this_command=False)
        else:
            # Files that ended their task, perhaps by lack of memory, come last.
            (interrupted if status == "begun" else remaining).append((file, relative))
    if not remaining and not interrupted:
        return journal.failed
    # Simultaneous tasks share the cores of this machine; on SLURM a job uses its own.
    use_idle_cores(file_list.tasks if file_list.at_once else 1)
    process, made_by = command.load()
    if made_by != file_list.made_by:
        raise MotionBeatError(
            f"the model or the program has changed since the launch ({made_by}; expected "
            f"{file_list.made_by}); launch again"
        )
    for file, relative in remaining + interrupted:
        journal.write(file, "begun")
        start_time = time.monotonic()
        reason = _failure(process, Path(file), relative)
        journal.write(file, "failed" if reason else "done", reason, time.monotonic() - start_time)
    return journal.failed


def _failure(process: OutputWriter, path: Path, relative: Path) -> str:
    """Process a file; return the reason of a failure in one line, or an empty text.

    Raises:
        OSError: no more files can be written.
    """
    try:
        process(path, relative)
    except OSError as error:
        if is_unwritable_disk(error) or error.errno == errno.EACCES:
            raise
        if error.errno == errno.ENAMETOOLONG:
            return f"{path}: the name of its output is too long for the file system; shorten it"
        return f"{path}: {one_line(error)}"
    except MotionBeatError as error:
        return one_line(error)
    except Exception as error:
        # A program error, or lack of GPU memory: print the traceback and continue.
        traceback.print_exc()
        return f"{path}: {type(error).__name__}: {one_line(error)}; see the task's log"
    return ""

"""Run one task of a launch on a list of files: create the missing outputs of its share of the files.

    python -m recipes.launch.files TASK_FOLDER OUT TASK

The launcher starts it. Exit codes: 0 if all files are done, 1 if some failed, 2 for an error of the user.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, RaisingParser, command
from recipes.launch.files.file_list import read_file_list


@command("recipes.launch.files", interrupted=INTERRUPTED_RESUMABLE)
def main(arguments: Sequence[str]) -> int:
    """Process the files of a task; continue after a file that fails."""
    parser = RaisingParser("python -m recipes.launch.files", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="TASK_FOLDER", help="folder for the task's journal")
    parser.add_argument("out", type=Path, metavar="OUT", help="the --folder of the launch")
    parser.add_argument("task", type=int, metavar="TASK", help="number of the task, from 0")
    options = parser.parse_args(arguments)

    from recipes.launch.files.outcomes import read_outcomes
    from recipes.launch.files.report import write_report
    from recipes.launch.files.task import process_files

    file_list = read_file_list(options.out)
    failed = process_files(file_list, options.out, options.folder, options.task)
    outcomes = read_outcomes(options.out)
    # Only the last task to end finds all files settled.
    if all(file in outcomes and outcomes[file].is_settled(file_list) for file, _ in file_list.files):
        write_report(options.out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

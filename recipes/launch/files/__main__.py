"""One task of a launch that works on a list of files: it makes what its share of them lacks.

    python -m recipes.launch.files TASK_FOLDER OUT TASK

The launcher starts it; it ends with 0 when all its files are done, 1 when some failed, 2 when it refuses.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from motionbeat_upstream.commands.command import RESUMES, Parser, command
from recipes.launch.files.file_list import read_list


@command("recipes.launch.files", interrupted=RESUMES)
def main(arguments: Sequence[str]) -> int:
    """Make what is not there yet; a file that fails does not keep the next back."""
    parser = Parser("python -m recipes.launch.files", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="TASK_FOLDER", help="where the task tells of its files")
    parser.add_argument("out", type=Path, metavar="OUT", help="the --folder of the launch")
    parser.add_argument("task", type=int, metavar="TASK", help="number of the task, from 0")
    options = parser.parse_args(arguments)

    from recipes.launch.files.outcomes import read_outcomes
    from recipes.launch.files.report import write_report
    from recipes.launch.files.task import work

    asked = read_list(options.out)
    failed = work(asked, options.out, options.folder, options.task)
    outcomes = read_outcomes(options.out)
    # The last task to end finds all settled, whichever it is.
    if all(file in outcomes and outcomes[file].settled(asked) for file, _ in asked.files):
        write_report(options.out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m recipes.downstream.task_run``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motionbeat_upstream.commands.command import command
from recipes.downstream import run_downstream, task_run
from recipes.downstream.task_run import request


@command("task_run", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    if {"-h", "--help"} & set(arguments):
        print(task_run.__doc__)
        return 0
    return run_downstream.main(request.command(arguments))


if __name__ == "__main__":
    sys.exit(main())

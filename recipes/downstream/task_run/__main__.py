"""``python -m recipes.downstream.task_run``."""

from __future__ import annotations

import sys

from recipes.downstream import run_downstream, task_run
from recipes.downstream.task_run.request import command

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(task_run.__doc__)
        sys.exit(0)
    try:
        asked = command(sys.argv[1:])
    except ValueError as error:
        print(f"task_run: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(run_downstream.main(asked))

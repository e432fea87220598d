"""``python -m recipes.downstream.task_run``."""

from __future__ import annotations

import sys

from recipes.downstream import run_downstream
from recipes.downstream.task_run.request import command

if __name__ == "__main__":
    try:
        asked = command(sys.argv[1:])
    except ValueError as error:
        print(f"task_run: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(run_downstream.main(asked))

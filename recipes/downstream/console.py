"""The console script ``run_downstream.py``: nothing is imported before Ctrl-C is told in one line."""

from __future__ import annotations

import sys


def main() -> int:
    """Import the command, which takes seconds, and run it; the exit code is the command's."""
    try:
        from recipes.downstream import run_downstream
    except KeyboardInterrupt:
        print("\nrun_downstream.py: interrupted", file=sys.stderr)
        return 130
    return run_downstream.main()

"""What a task raises when it cannot run as asked."""

from __future__ import annotations


class TaskError(ValueError):
    """A run that cannot be done as asked; the message names the thing, the fault and the remedy.

    ``run_downstream.py`` prints it as one line, without a traceback, and ends with code 2.
    """

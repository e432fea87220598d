"""What is raised where a launch cannot be done as asked."""

from __future__ import annotations


class LaunchError(ValueError):
    """A launch that cannot be done as asked; the message names the thing, the fault and the remedy.

    ``python -m recipes.launch`` prints it as one line, without a traceback, and ends with code 2.
    """

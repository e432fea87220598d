"""Where a result comes from: the command and the versions that made it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata

from motionbeat_upstream.version import __version__


def origin(packages: Sequence[str]) -> dict[str, object]:
    """The process's command, and the versions of MotionBeat and of installed packages."""
    versions = {name: metadata.version(name) for name in packages}
    return {"command": sys.argv, "versions": {"motionbeat": __version__} | versions}

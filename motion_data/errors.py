"""What is raised where data cannot be used."""

from __future__ import annotations

from motionbeat_upstream.errors import MotionBeatError


class DataError(MotionBeatError):
    """Data that cannot be used; the message names the file and field, the fault and the remedy."""

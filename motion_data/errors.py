"""What is raised where data cannot be used."""

from __future__ import annotations

from motionbeat_upstream.errors import MotionBeatError


class DataError(MotionBeatError):
    """Data that cannot be used; the message names the file and field, the fault and the remedy."""


class ShardError(DataError):
    """Shards that are not what was written: a pair of them is not passed over, as one bad file of many is."""

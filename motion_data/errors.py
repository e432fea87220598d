"""Errors of data."""

from __future__ import annotations

from motionbeat_upstream.errors import MotionBeatError


class DataError(MotionBeatError):
    """Data cannot be used; the message names the file and field, the problem and the remedy."""


class ShardError(DataError):
    """A shard is missing or changed. Such a pair is not skipped, unlike a single damaged file of many."""

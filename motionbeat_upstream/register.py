"""Makes MotionBeat known to an installed S3PRL, by import or by calling :func:`register`.

S3PRL's files are not touched: the entries become attributes of its hub, for this process.
"""

from __future__ import annotations

from motionbeat_upstream import hubconf

ENTRIES = tuple(hubconf.__all__)


def register() -> None:
    """Add MotionBeat's entries to ``s3prl.hub``; calling it again changes nothing."""
    from s3prl import hub

    for entry in ENTRIES:
        setattr(hub, entry, getattr(hubconf, entry))


register()

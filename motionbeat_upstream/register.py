"""Registration of MotionBeat with an installed S3PRL, on import or by :func:`register`.

The entries become attributes of S3PRL's hub in this process; its files do not change.
"""

from __future__ import annotations

from motionbeat_upstream import hubconf

ENTRIES = tuple(hubconf.__all__)


def register() -> None:
    """Add MotionBeat's entries to ``s3prl.hub``; further calls have no effect."""
    from s3prl import hub

    for entry in ENTRIES:
        setattr(hub, entry, getattr(hubconf, entry))


register()

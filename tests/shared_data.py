"""Real files of the development machines, which an outside user does not have."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import skip_or_fail

SHARED = Path(os.environ.get("MOTIONBEAT_DATA", Path(__file__).parents[2] / "shared" / "data"))


def shared(name: str) -> Path:
    """A file or folder among them; without it the test is skipped, or fails where CI=true."""
    if not (SHARED / name).exists():
        skip_or_fail(f"no {SHARED / name}; MOTIONBEAT_DATA names the folder that holds {name}")
    return SHARED / name

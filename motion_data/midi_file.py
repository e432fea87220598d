"""A MIDI file, read by symusic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motion_data.errors import DataError


def read_score(path: Path) -> Any:
    """A symusic score in ticks.

    Raises:
        DataError: not a MIDI file.
    """
    import symusic

    try:
        return symusic.Score(str(path))
    except Exception as error:  # symusic raises plain exceptions of several kinds
        raise DataError(f"{path}: not readable as MIDI ({error})") from error

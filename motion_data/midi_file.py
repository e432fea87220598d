"""MIDI files, read by symusic, which also renders them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError

DEFAULT_MICROSECONDS_PER_QUARTER = 500_000
"""Default tempo of the MIDI standard."""


def read_score(path: Path) -> Any:
    """Read a MIDI file as a symusic score in ticks.

    Raises:
        DataError: the file is not MIDI, has a division of 0, or an invalid key signature.
    """
    import mido
    import symusic

    try:
        data = path.read_bytes()
        # symusic 0.5.8 crashes on some damaged files; mido refuses them and invalid key signatures.
        mido.MidiFile(file=io.BytesIO(data))
        score = symusic.Score.from_midi(data)
    except Exception as error:  # both raise several kinds of exceptions
        message = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: not readable as MIDI ({message}); export it again or leave it out"
        ) from error
    if score.ticks_per_quarter < 1:
        raise DataError(
            f"{path}: a division of {score.ticks_per_quarter} ticks per quarter note; expected at least 1: "
            f"export it again or leave it out"
        )
    # With several tempi at one tick symusic's choice is random, so that the last one is kept.
    score.tempos = list({mark.time: mark for mark in score.tempos}.values())
    return score


def ticks_to_seconds(score: Any, ticks: NDArray[Any]) -> NDArray[np.float64]:
    """Convert ticks of a score to seconds by the tempi of all its tracks, as symusic renders them.

    Args:
        score: from :func:`read_score`.
        ticks: (N,) at least 0.

    Returns:
        (N,) seconds.
    """
    tempi = [(0, DEFAULT_MICROSECONDS_PER_QUARTER), *((mark.time, mark.mspq) for mark in score.tempos)]
    starts, rates = (np.array(column, dtype=np.float64) for column in zip(*tempi, strict=True))
    rates /= 1e6 * score.ticks_per_quarter
    begins = np.concatenate([[0.0], np.cumsum(np.diff(starts) * rates[:-1])])
    index = np.searchsorted(starts, ticks, side="right") - 1
    seconds: NDArray[np.float64] = begins[index] + (ticks - starts[index]) * rates[index]
    return seconds

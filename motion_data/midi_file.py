"""A MIDI file, read by symusic: the library that plays it decides its tempi and time signatures too."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError

DEFAULT_MICROSECONDS_PER_QUARTER = 500_000
"""Microseconds a quarter note before the first tempo, by the standard."""


def read_score(path: Path) -> Any:
    """A symusic score in ticks.

    Raises:
        DataError: not a MIDI file, a division of 0, or a key signature that cannot be.
    """
    import mido
    import symusic

    try:
        data = path.read_bytes()
        # symusic 0.5.8 crashes on some damaged files; mido refuses them, and key signatures that cannot be.
        mido.MidiFile(file=io.BytesIO(data))
        score = symusic.Score.from_midi(data)
    except Exception as error:  # both raise exceptions of several kinds
        fault = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not readable as MIDI ({fault}); export it again or leave it out") from error
    if score.ticks_per_quarter < 1:
        raise DataError(
            f"{path}: a division of {score.ticks_per_quarter} ticks a quarter note; expected at least 1: "
            f"export it again or leave it out"
        )
    # Of several tempi at one tick symusic plays now the one, now the other.
    score.tempos = list({mark.time: mark for mark in score.tempos}.values())
    return score


def ticks_to_seconds(score: Any, ticks: NDArray[Any]) -> NDArray[np.float64]:
    """Where ticks of a score are in time, by the tempi of all its tracks, as symusic plays them.

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

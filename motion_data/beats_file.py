"""Reading and writing of beats as ``.beats`` files.

A line contains the time of a beat in seconds and its position in the bar, separated by a tab or spaces;
position 1 is the downbeat. GTZAN-Rhythm, Ballroom and most other corpora have this format.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.files import read_bytes
from motionbeat_upstream.atomic_write import atomic_path

log = logging.getLogger(__name__)

UNKNOWN = 0
"""Position of a beat whose position in the bar is not known."""

MAX_POSITION = 10_000
"""A position above this is an error."""


@dataclass(frozen=True)
class Beats:
    """Annotated or estimated beats of one piece, not rounded to frames."""

    times: NDArray[np.float64]
    """(N,) increasing seconds from the start of the audio."""
    positions: NDArray[np.int64]
    """(N,) position in the bar from 1, which is a downbeat; 0 if unknown."""

    @property
    def downbeats(self) -> NDArray[np.float64]:
        """(M,) times of the downbeats in seconds."""
        times: NDArray[np.float64] = self.times[self.positions == 1]
        return times

    @property
    def downbeats_known(self) -> bool:
        """Whether at least two downbeats are marked, as the evaluation of downbeats requires."""
        return len(self.downbeats) >= 2


def read_beats(path: str | Path) -> Beats:
    """Read a ``.beats`` file.

    Blank lines, lines that start with ``#`` and one line of column names are skipped. If a file contains
    times only, all positions are 0. Beats before 0 s, which some published data sets contain, are dropped
    with a warning in the log.

    Raises:
        DataError: the file is missing, or a line is invalid; the message gives its number.
    """
    path = Path(path)
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file ({error}); expected lines of time and position") from error
    rows: list[tuple[int, float, int | None]] = []
    header_allowed = True
    for number, line in enumerate(lines, 1):
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        if header_allowed and not _is_number(fields[0]):
            header_allowed = False
            continue
        header_allowed = False
        rows.append((number, *_parse_beat(fields, f"{path}:{number}", line)))
    for (_, time, position), (number, following, other) in itertools.pairwise(rows):
        if following <= time:
            raise DataError(
                f"{path}:{number}: beats must increase, but {following:g} s follows {time:g} s; sort them"
            )
        if (position is None) != (other is None):
            raise DataError(
                f"{path}:{number}: some lines have a position in the bar and some have none; add "
                f"the missing ones"
            )
    before = sum(time < 0 for _, time, _ in rows)
    rows = rows[before:]
    if len(rows) < 2:
        raise DataError(
            f"{path}: contains {len(rows)} beats from 0 s on, expected at least 2; annotate it or leave it "
            f"out"
        )
    if before:
        log.warning("%s: %d beat(s) before 0 s, the start of the audio, are dropped", path, before)
    return Beats(
        np.array([time for _, time, _ in rows]),
        np.array([UNKNOWN if position is None else position for _, _, position in rows], dtype=np.int64),
    )


def write_beats(path: str | Path, beats: Beats) -> None:
    """Write a ``.beats`` file atomically, with times rounded to 0.1 ms."""
    lines = (f"{time:.4f}\t{position}\n" for time, position in zip(beats.times, beats.positions, strict=True))
    with atomic_path(path) as draft:
        draft.write_text("".join(lines), encoding="utf-8")


def _parse_beat(fields: list[str], location: str, line: str) -> tuple[float, int | None]:
    if len(fields) > 2 or not all(_is_number(field) for field in fields):
        raise DataError(
            f"{location}: expected a time in seconds and a position in the bar, got {line.strip()[:60]!r}"
        )
    time = float(fields[0])
    if not np.isfinite(time):
        raise DataError(f"{location}: the time must be finite, got {fields[0][:60]}")
    if len(fields) == 1:
        return time, None
    position = float(fields[1])
    if not position.is_integer() or not 0 <= position <= MAX_POSITION:
        raise DataError(
            f"{location}: the position in the bar must be a whole number from 1 (0: not known), got "
            f"{fields[1][:60]}"
        )
    return time, int(position)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""Time limits as SLURM writes them."""

from __future__ import annotations

import math
import re

from motionbeat_upstream.errors import MotionBeatError

_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?", re.ASCII)


def minutes(text: str) -> int:
    """Minutes, rounded up, of a time limit: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S.

    Raises:
        MotionBeatError: ``text`` is none of these, or is no time at all.
    """
    match = _CLOCK.fullmatch(text)
    seconds = 0
    if match is not None:
        parts = [int(part) for part in match.group("first", "second", "third") if part is not None]
        if match["days"] is not None:
            units = (3600, 60, 1)
        else:
            units = (3600, 60, 1) if len(parts) == 3 else (60, 1, 0)
        seconds = 86400 * int(match["days"] or 0) + sum(
            n * unit for n, unit in zip(parts, units, strict=False)
        )
    if seconds <= 0:
        raise MotionBeatError(
            "expected minutes, H:MM:SS or D-HH:MM:SS as SLURM takes it, such as 90, 12:00:00 or 2-00:00:00"
        )
    return math.ceil(seconds / 60)

"""Timing of the stages of loading a batch."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

STAGES = {
    "audio": "decode or render the sound",
    "motion": "read the motion",
    "resample": "bring the motion to one frame rate",
    "window": "choose where the clip lies",
    "cut": "cut motion, pulses and grid",
    "collate": "sample motions, pad and stack the batch",
    "negatives": "draw the negatives' recipes",
}
"""Descriptions by name; stages do not contain each other."""


class StageTimes:
    """Times and calls of each stage, summed over threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.decoded_seconds = 0.0
        """Length of the decoded or rendered sound."""


_lock = Lock()
_active: list[StageTimes] = []
"""Measurements in progress."""


@contextmanager
def measure_stages() -> Iterator[StageTimes]:
    """Measure all threads of the process until the end of the ``with`` block."""
    times = StageTimes()
    _active.append(times)
    try:
        yield times
    finally:
        _active.remove(times)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the duration of the ``with`` block to a stage of all measurements in progress."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - begin
        with _lock:
            for times in _active:
                times.seconds[name] += seconds
                times.calls[name] += 1


def count_decoded(seconds: float) -> None:
    """Add a length of decoded or rendered sound to all measurements in progress."""
    with _lock:
        for times in _active:
            times.decoded_seconds += seconds

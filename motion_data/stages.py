"""How long each stage of loading a batch takes, while somebody measures it."""

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
"""Their names and what they are; stages do not contain each other."""


class StageTimes:
    """Work by stage, added up over threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.decoded_seconds = 0.0
        """Length of the sound that was decoded or rendered."""


_lock = Lock()
_active: list[StageTimes] = []
"""What is being measured; most of the time nothing."""


@contextmanager
def measure_stages() -> Iterator[StageTimes]:
    """Measure until the end of the ``with`` block, in all threads of the process."""
    measured = StageTimes()
    _active.append(measured)
    try:
        yield measured
    finally:
        _active.remove(measured)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time until the end of the ``with`` block."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        spent = time.perf_counter() - begin
        with _lock:
            for measured in _active:
                measured.seconds[name] += spent
                measured.calls[name] += 1


def count_decoded(seconds: float) -> None:
    """Count sound that was decoded or rendered."""
    with _lock:
        for measured in _active:
            measured.decoded_seconds += seconds

"""How long each stage of the loading takes, added up over threads."""

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
    "collate": "pad and stack the batch",
    "negatives": "draw the negatives' recipes",
}
"""Their names and what they are."""


class StageClock:
    """Seconds of work by stage, and how often each was done; stages do not contain each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.decoded_seconds = 0.0
        """Length of the sound that was decoded or rendered."""
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time until the end of the ``with`` block."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            with self._lock:
                self.seconds[name] += spent
                self.calls[name] += 1

    def decoded(self, seconds: float) -> None:
        """Count sound that was decoded or rendered."""
        with self._lock:
            self.decoded_seconds += seconds

"""A measured value and its target, what is measured, and how it is timed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from motionbeat_upstream.config import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Figure:
    """A measured value, and what it should be at least, or at most."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def target(self) -> str:
        """In words; empty where there is none."""
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"≤ {self.most:g}"

    @property
    def met(self) -> bool:
        """Whether the value is what it should be; true without a target."""
        if self.least is not None:
            return self.value >= self.least
        return self.most is None or self.value <= self.most


def music(seconds: float) -> Tensor:
    """(T,) a synthetic waveform at 16 kHz with beats at 120 bpm, always the same; a minute repeats itself."""
    import torch

    time_ = torch.arange(round(min(seconds, 60) * SAMPLE_RATE)) / SAMPLE_RATE
    noise = torch.randn(len(time_), generator=torch.Generator().manual_seed(0))
    minute = 0.2 * noise * torch.exp(-30 * (time_ % 0.5)) + 0.1 * torch.sin(2 * torch.pi * 220 * time_)
    return minute.repeat(math.ceil(seconds / 60))[: round(seconds * SAMPLE_RATE)]


def fastest(calls: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Seconds of the fastest of some turns of each call, after one that does not count."""
    times: dict[str, float] = {}
    for turn in range(turns + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            spent = time.perf_counter() - start
            if turn:
                times[name] = min(times.get(name, spent), spent)
    return times

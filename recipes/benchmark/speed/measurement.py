"""Measurements with targets, the test signal, and the timing of calls."""

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
class Measurement:
    """A measured value with an optional minimum (``least``) or maximum (``most``) as its target."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def target(self) -> str:
        """The target as text; empty if there is none."""
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"≤ {self.most:g}"

    @property
    def met(self) -> bool:
        """Whether the value meets the target; true without a target."""
        if self.least is not None:
            return self.value >= self.least
        return self.most is None or self.value <= self.most


def music(seconds: float) -> Tensor:
    """(T,) deterministic waveform at 16 kHz with beats at 120 bpm; it repeats every minute."""
    import torch

    time_axis = torch.arange(round(min(seconds, 60) * SAMPLE_RATE)) / SAMPLE_RATE
    noise = torch.randn(len(time_axis), generator=torch.Generator().manual_seed(0))
    minute = 0.2 * noise * torch.exp(-30 * (time_axis % 0.5)) + 0.1 * torch.sin(
        2 * torch.pi * 220 * time_axis
    )
    return minute.repeat(math.ceil(seconds / 60))[: round(seconds * SAMPLE_RATE)]


def min_times(calls: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Minimum time of each call in seconds over alternating turns, after a warm-up turn."""
    times: dict[str, float] = {}
    for turn in range(turns + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            elapsed = time.perf_counter() - start
            if turn:
                times[name] = min(times.get(name, elapsed), elapsed)
    return times

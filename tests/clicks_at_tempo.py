"""Made music whose beats and bars are known to the sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.config import SAMPLE_RATE


def clicks(bpm: float, seconds: float, phase: float = 0.2, downbeat: int = 0) -> NDArray[np.float32]:
    """Short tones at every beat, a low and loud one at each fourth."""
    draw = np.random.default_rng(0)
    wav = 1e-4 * draw.normal(size=round(seconds * SAMPLE_RATE))
    time = np.arange(800) / SAMPLE_RATE
    for beat, start in enumerate(np.arange(phase, seconds - 0.06, 60 / bpm)):
        down = beat % 4 == downbeat
        tone = np.sin(2 * np.pi * (80 if down else 1500) * time) * np.exp(-time * 60) * (0.9 if down else 0.4)
        first = round(start * SAMPLE_RATE)
        wav[first : first + len(tone)] += tone
    return wav.astype(np.float32)

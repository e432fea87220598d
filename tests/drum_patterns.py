"""Made pieces with beats and bars that anybody would hear."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.config import SAMPLE_RATE

ROOTS = (220.0, 174.6, 261.6, 196.0)
"""One chord a bar, in Hz."""


def beat_times(bpm: float, seconds: float, first: float = 0.3) -> NDArray[np.float64]:
    return np.arange(first, seconds - 0.1, 60 / bpm)


def piece(beats: NDArray[np.float64], metre: int, seconds: float, seed: int = 0, parts: int = 2) -> Tensor:
    """Kick on the downbeat (and the third of four), snare on the others, hats on ``parts`` to a beat.

    A chord sets in with each bar; beat 0 is a downbeat.
    """
    generator = np.random.default_rng(seed)
    wav = 0.003 * generator.standard_normal(round(seconds * SAMPLE_RATE))

    def add(time: float, sound: NDArray[np.float64]) -> None:
        start = round(time * SAMPLE_RATE)
        room = wav[start : start + len(sound)]
        room += sound[: len(room)]

    time = np.arange(3200) / SAMPLE_RATE
    kick = np.sin(2 * np.pi * 70 * time) * np.exp(-25 * time)
    snare = 0.5 * generator.standard_normal(3200) * np.exp(-35 * time)
    hat = 0.2 * np.diff(generator.standard_normal(801)) * np.exp(-120 * time[:800])
    gaps = np.diff(beats, append=2 * beats[-1] - beats[-2])
    for index, (beat, gap) in enumerate(zip(beats, gaps, strict=True)):
        place = index % metre
        if place == 0:
            bar = np.arange(int(gap * metre * SAMPLE_RATE)) / SAMPLE_RATE
            root = ROOTS[index // metre % len(ROOTS)]
            chord = sum(np.sin(2 * np.pi * root * ratio * bar) for ratio in (1, 1.25, 1.5))
            add(beat, kick)
            add(beat, 0.12 * chord * np.minimum(1, np.minimum(200 * bar, 50 * (bar[-1] - bar))))
        elif (metre, place) == (4, 2):
            add(beat, 0.8 * kick)
        else:
            add(beat, snare)
        for part in range(parts):
            add(beat + gap * part / parts, hat)
    return torch.from_numpy(0.5 * wav / np.abs(wav).max()).float()

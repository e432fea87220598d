"""A synthetic data set: short clips of drums and chords with exact beats.

It is used if no data set is given, so that the task runs without a download. Scores on it show that
everything works, and say nothing about real music.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion_data.beats_file import Beats
from motion_data.pair import SPLITS
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.beat_tracking.dataset import Recording

SECONDS = 16.0
"""Length of a clip."""

CLIPS = {"train": 36, "dev": 12, "test": 18}
"""Number of clips of each split."""

MIN_BPM, MAX_BPM = 70, 180
"""Range of the tempo; a tempo is in one split only."""

OMITTED_SHARE = 0.1
"""Share of the notes of a pattern that are left out."""


class Metre(NamedTuple):
    """A metre and the division of its beats."""

    name: str
    beats: int
    """Beats per bar."""
    division: int
    """Slots per beat on which notes may start."""
    snare_beats: tuple[int, ...]
    """Beats of the bar, from 0, on which the snare plays."""


FOUR, THREE = Metre("4-4", 4, 4, (1, 3)), Metre("3-4", 3, 4, (1, 2))
SIX = Metre("6-8", 2, 3, (1,))
"""6/8 has two beats per bar."""


def synthetic_splits() -> dict[str, list[Recording]]:
    """The splits of the data set, which are always the same; no tempo is in two splits."""
    return {split: [_recording(split, index) for index in range(CLIPS[split])] for split in SPLITS}


def _recording(split: str, index: int) -> Recording:
    metre, period, start = _rhythm(split, index)
    count = np.arange(int(np.ceil((SECONDS - start) / period)))
    times = start + count * period
    inside = (times >= 0) & (times < SECONDS)
    beats = Beats(times[inside], (count % metre.beats + 1)[inside])
    name = f"synthetic_{split}_{index:02d}_{metre.name}"
    return Recording(name, name, beats, SECONDS, partial(make_audio, split, index))


def _rhythm(split: str, index: int) -> tuple[Metre, float, float]:
    """Metre, seconds per beat, and the time of a downbeat at or before 0 s."""
    rng = np.random.default_rng((SPLITS.index(split), index, 0))
    metre = (FOUR, FOUR, THREE, SIX)[index % 4]
    # Integer tempi spread over the range; their remainder modulo 3 determines the split.
    step = int((index * 0.618034 + rng.uniform(0, 0.2)) % 1.0 * (MAX_BPM - MIN_BPM) / 3)
    if metre is SIX:
        step //= 2  # dotted quarters are slower than quarters
    period = 60.0 / (MIN_BPM + 3 * step + SPLITS.index(split))
    return metre, period, -rng.uniform(0, 1) * metre.beats * period


def make_audio(split: str, index: int) -> Tensor:
    """The audio of a clip, (T,) float32 at 16 kHz."""
    metre, period, start = _rhythm(split, index)
    rng = np.random.default_rng((SPLITS.index(split), index, 1))
    slots = metre.beats * metre.division
    slot = np.arange(slots)
    on_beat, on_downbeat = slot % metre.division == 0, slot == 0
    on_snare = np.isin(slot, np.multiply(metre.snare_beats, metre.division))
    kick, snare, hat, chord = _sounds(rng)
    parts = [
        (np.where(on_downbeat, 1.0, np.where(on_beat, 0.25, 0.05)), 0.9 * kick),
        (np.where(on_snare, 1.0, 0.03), 0.6 * snare),
        (np.where(on_beat, 0.9, 0.5), 0.25 * hat),
        (np.where(on_downbeat, 1.0, np.where(on_beat, 0.3, 0.05)), 0.5 * chord),
    ]
    bars = int(np.ceil((SECONDS - start) / (metre.beats * period)))
    wav = 10 ** rng.uniform(-4, -2.2) * rng.standard_normal(int(SECONDS * SAMPLE_RATE))
    for chance, sound in parts:
        pattern = rng.uniform(size=slots) < chance
        played = np.tile(pattern, bars) & (rng.uniform(size=slots * bars) > OMITTED_SHARE)
        onsets = start + np.flatnonzero(played) * period / metre.division
        for first in np.round(onsets * SAMPLE_RATE).astype(int):
            begin, end = max(first, 0), min(first + len(sound), len(wav))
            if begin < end:
                wav[begin:end] += rng.uniform(0.7, 1.0) * sound[begin - first : end - first]
    return torch.from_numpy((wav * rng.uniform(0.2, 0.9) / np.abs(wav).max()).astype(np.float32))


def _sounds(rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Kick, snare, hi-hat and a chord of 0.4 s each."""
    time = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = rng.normal(0, 0.5, len(time))
    sweep = rng.uniform(45, 65) + rng.uniform(60, 120) * np.exp(-time / 0.02)
    pitches = rng.uniform(190, 380) * 2 ** (np.array([0, 4, 7]) / 12)
    return (
        np.sin(2 * np.pi * np.cumsum(sweep) / SAMPLE_RATE) * np.exp(-time / rng.uniform(0.05, 0.12)),
        noise * np.exp(-time / rng.uniform(0.03, 0.08)),
        np.diff(noise, prepend=0.0) * np.exp(-time / rng.uniform(0.01, 0.04)),
        np.sin(2 * np.pi * pitches[:, None] * time).mean(0) * np.exp(-time / rng.uniform(0.1, 0.3)),
    )

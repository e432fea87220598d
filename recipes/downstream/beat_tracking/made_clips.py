"""The "made" data set: short clips of drums and chords, synthesised in code with exact beats.

It stands in when no data set is given, so that the task runs at once and without a download. What is made by
rule is easy to learn by rule: figures on it show that everything works, and nothing about real music.
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
"""Clips of each split."""

SLOWEST, FASTEST = 70, 180
"""Tempo range in beats per minute; a tempo is in one split only."""

OMITTED = 0.1
"""Share of a pattern's notes that are left out."""


class Metre(NamedTuple):
    """A metre, and how its beats are divided."""

    name: str
    beats: int
    """Beats per bar."""
    division: int
    """Slots per beat that a note may start on."""
    snare_beats: tuple[int, ...]
    """Beats of the bar, from 0, on which the snare plays."""


FOUR, THREE = Metre("4-4", 4, 4, (1, 3)), Metre("3-4", 3, 4, (1, 2))
SIX = Metre("6-8", 2, 3, (1,))
"""Counts as two beats a bar."""


def made_splits() -> dict[str, list[Recording]]:
    """The made data set: the same clips each time, no tempo in two splits."""
    return {split: [_recording(split, index) for index in range(CLIPS[split])] for split in SPLITS}


def _recording(split: str, index: int) -> Recording:
    metre, period, start = _rhythm(split, index)
    count = np.arange(int(np.ceil((SECONDS - start) / period)))
    times = start + count * period
    inside = (times >= 0) & (times < SECONDS)
    beats = Beats(times[inside], (count % metre.beats + 1)[inside])
    name = f"made_{split}_{index:02d}_{metre.name}"
    return Recording(name, name, beats, SECONDS, partial(make_audio, split, index))


def _rhythm(split: str, index: int) -> tuple[Metre, float, float]:
    """Metre, seconds per beat, and the time of a downbeat at or before 0 s."""
    draw = np.random.default_rng((SPLITS.index(split), index, 0))
    metre = (FOUR, FOUR, THREE, SIX)[index % 4]
    # Whole tempi, dealt to the splits by their remainder by 3, spread over the range.
    step = int((index * 0.618034 + draw.uniform(0, 0.2)) % 1.0 * (FASTEST - SLOWEST) / 3)
    if metre is SIX:
        step //= 2  # a dotted quarter is slower than a quarter
    period = 60.0 / (SLOWEST + 3 * step + SPLITS.index(split))
    return metre, period, -draw.uniform(0, 1) * metre.beats * period


def make_audio(split: str, index: int) -> Tensor:
    """Synthesise one clip, (T,) float32 at 16 kHz."""
    metre, period, start = _rhythm(split, index)
    draw = np.random.default_rng((SPLITS.index(split), index, 1))
    slots = metre.beats * metre.division
    slot = np.arange(slots)
    on_beat, opens = slot % metre.division == 0, slot == 0
    on_snare = np.isin(slot, np.multiply(metre.snare_beats, metre.division))
    kick, snare, hat, chord = _sounds(draw)
    parts = [
        (np.where(opens, 1.0, np.where(on_beat, 0.25, 0.05)), 0.9 * kick),
        (np.where(on_snare, 1.0, 0.03), 0.6 * snare),
        (np.where(on_beat, 0.9, 0.5), 0.25 * hat),
        (np.where(opens, 1.0, np.where(on_beat, 0.3, 0.05)), 0.5 * chord),
    ]
    bars = int(np.ceil((SECONDS - start) / (metre.beats * period)))
    wav = 10 ** draw.uniform(-4, -2.2) * draw.standard_normal(int(SECONDS * SAMPLE_RATE))
    for chance, sound in parts:
        pattern = draw.uniform(size=slots) < chance
        played = np.tile(pattern, bars) & (draw.uniform(size=slots * bars) > OMITTED)
        onsets = start + np.flatnonzero(played) * period / metre.division
        for first in np.round(onsets * SAMPLE_RATE).astype(int):
            begin, end = max(first, 0), min(first + len(sound), len(wav))
            if begin < end:
                wav[begin:end] += draw.uniform(0.7, 1.0) * sound[begin - first : end - first]
    return torch.from_numpy((wav * draw.uniform(0.2, 0.9) / np.abs(wav).max()).astype(np.float32))


def _sounds(draw: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Kick, snare, hi-hat and a chord, (0.4 s,) each."""
    time = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = draw.normal(0, 0.5, len(time))
    sweep = draw.uniform(45, 65) + draw.uniform(60, 120) * np.exp(-time / 0.02)
    pitches = draw.uniform(190, 380) * 2 ** (np.array([0, 4, 7]) / 12)
    return (
        np.sin(2 * np.pi * np.cumsum(sweep) / SAMPLE_RATE) * np.exp(-time / draw.uniform(0.05, 0.12)),
        noise * np.exp(-time / draw.uniform(0.03, 0.08)),
        np.diff(noise, prepend=0.0) * np.exp(-time / draw.uniform(0.01, 0.04)),  # the difference is bright
        np.sin(2 * np.pi * pitches[:, None] * time).mean(0) * np.exp(-time / draw.uniform(0.1, 0.3)),
    )

"""The "made" data set: short clips of drums, bass and chords, synthesised in code with exact beats.

It stands in when no data set is given, so that the task runs at once and without a download. What
is made by rule is easy to learn by rule: figures on it show that everything works, and nothing
about real music.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

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

Audio = NDArray[np.float32]

ROOTS = (0, 5, 7, 9, 2)
"""Semitones above a clip's key on which its harmony may stand."""

Notes = tuple[Audio, ...]
"""An instrument: its sound on each of the roots, or the one sound of a drum."""


@dataclass(frozen=True)
class Metre:
    """A metre, and how its beats are divided."""

    name: str
    beats: int
    """Beats per bar."""
    division: int
    """Slots per beat that a note may start on."""
    snare_beats: tuple[int, ...]
    """Beats of the bar, from 0, that the snare likes."""


METRES = (Metre("4-4", 4, 4, (1, 3)), Metre("3-4", 3, 4, (1, 2)), Metre("6-8", 2, 3, (1,)))
"""6/8 counts as two beats a bar."""


def made_splits() -> dict[str, list[Recording]]:
    """The made data set: the same clips each time, no pattern and no tempo in two splits."""
    return {split: [_recording(split, index) for index in range(CLIPS[split])] for split in SPLITS}


def _recording(split: str, index: int) -> Recording:
    metre = METRES[(0, 0, 1, 2)[index % 4]]
    name = f"made_{split}_{index:02d}_{metre.name}"
    return Recording(name, name, make_beats(split, index), SECONDS, partial(make_audio, split, index))


def _metre_tempo_start(split: str, index: int) -> tuple[Metre, float, float]:
    """Metre, seconds per beat, and the time of a downbeat at or before 0 s."""
    draw = _draws(split, index, 0)
    metre = METRES[(0, 0, 1, 2)[index % 4]]
    kind = SPLITS.index(split)
    # Whole tempi, dealt to the splits by their remainder by 3, spread over the range.
    steps = (FASTEST - SLOWEST) // 3
    step = (index * 0.618034 + draw.uniform(0, 0.2)) % 1.0 * steps
    bpm = SLOWEST + 3 * int(step) + kind
    if metre.name == "6-8":
        bpm = SLOWEST + (bpm - SLOWEST) // 6 * 3 + kind  # a dotted quarter is slower than a quarter
    period = 60.0 / bpm
    return metre, period, -draw.uniform(0, 1) * metre.beats * period


def make_beats(split: str, index: int) -> Beats:
    """The exact beats of one clip."""
    metre, period, start = _metre_tempo_start(split, index)
    count = np.arange(int(np.ceil((SECONDS - start) / period)))
    times = start + count * period
    inside = (times >= 0) & (times < SECONDS)
    return Beats(times[inside], (count % metre.beats + 1)[inside])


def make_audio(split: str, index: int) -> Tensor:
    """Synthesise one clip, (T,) float32 at 16 kHz."""
    metre, period, start = _metre_tempo_start(split, index)
    draw = _draws(split, index, 1)
    slots = metre.beats * metre.division
    swing = draw.choice([0.0, 0.0, 0.1]) if metre.division == 4 else 0.0
    looseness = draw.uniform(0.0, 0.008)
    layers = _layers(draw, metre, period)
    mix = np.zeros(int(SECONDS * SAMPLE_RATE), dtype=np.float32)
    bars = int(np.ceil((SECONDS - start) / (metre.beats * period)))
    for bar in range(bars):
        root = int(draw.integers(len(ROOTS)))
        for chance, strength, notes in layers:
            played = (draw.uniform(size=slots) < chance) & (draw.uniform(size=slots) > 0.08)
            for slot in np.flatnonzero(played):
                late = swing if slot % 2 else 0.0
                onset = (
                    start + (bar * slots + slot + late) / metre.division * period + draw.normal(0, looseness)
                )
                _add(mix, onset, strength[slot] * draw.uniform(0.7, 1.0) * notes[root % len(notes)])
    mix += draw.normal(0, 10 ** draw.uniform(-4, -2.2), len(mix)).astype(np.float32)
    return torch.from_numpy(mix * np.float32(draw.uniform(0.2, 0.9) / np.abs(mix).max()))


def _layers(
    draw: np.random.Generator, metre: Metre, period: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], Notes]]:
    """The clip's instruments: the chance of each slot of the bar, its loudness, the sound."""
    slots = metre.beats * metre.division
    on_beat = np.arange(slots) % metre.division == 0
    kick = np.where(on_beat, 0.25, 0.06) * draw.uniform(0, 1, slots) * 2
    kick[0] = 0.95
    snare = 0.12 * draw.uniform(0, 1, slots) ** 3
    snare[[beat * metre.division for beat in metre.snare_beats]] = 0.9
    step = draw.choice([1, 2]) if metre.division == 4 else 1
    hat = np.where(np.arange(slots) % step == 0, 0.9, 0.05)
    bass = np.where(on_beat, 0.5, 0.2) * draw.uniform(0, 1, slots) * 2
    bass[0] = 0.9
    chord = np.where(on_beat, 0.15, 0.05) * draw.uniform(0, 1, slots) * 2
    chord[0] = 0.95
    accents = np.where(on_beat, 1.0, 0.6)
    flat = np.ones(slots)
    key = draw.uniform(48, 96)
    layers = [
        (_pattern(draw, kick), 0.9 * flat, _kick(draw)),
        (_pattern(draw, snare), 0.6 * flat, _snare(draw)),
        (_pattern(draw, hat), 0.25 * accents, _hat(draw)),
        (_pattern(draw, bass), 0.6 * flat, _tones(draw, key, (0,), 0.9 * period)),
        (_pattern(draw, chord), 0.35 * accents, _tones(draw, 4 * key, (0, 4, 7), 2 * period)),
    ]
    # Some clips do without drums, some without harmony, most with all.
    kind = draw.choice(["all", "all", "drums", "no drums"])
    return layers[:3] if kind == "drums" else layers[2:] if kind == "no drums" else layers


def _pattern(draw: np.random.Generator, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A bar's pattern: slots that are nearly always played, and slots that hardly ever are."""
    return np.where(draw.uniform(size=len(chance)) < chance, 0.97, 0.02)


def _kick(draw: np.random.Generator) -> Notes:
    time = _time(0.25)
    sweep = draw.uniform(45, 65) + draw.uniform(60, 120) * np.exp(-time / 0.02)
    body = np.sin(2 * np.pi * np.cumsum(sweep) / SAMPLE_RATE)
    return ((body * np.exp(-time / draw.uniform(0.05, 0.12))).astype(np.float32),)


def _snare(draw: np.random.Generator) -> Notes:
    time = _time(0.2)
    noise = draw.normal(0, 0.5, len(time)) * np.exp(-time / draw.uniform(0.03, 0.08))
    tone = np.sin(2 * np.pi * draw.uniform(160, 230) * time) * np.exp(-time / 0.05)
    return ((noise + 0.5 * tone).astype(np.float32),)


def _hat(draw: np.random.Generator) -> Notes:
    time = _time(0.1)
    # The difference of white noise is bright.
    noise = np.diff(draw.normal(0, 0.5, len(time) + 1))
    return ((noise * np.exp(-time / draw.uniform(0.01, 0.04))).astype(np.float32),)


def _tones(draw: np.random.Generator, frequency: float, intervals: tuple[int, ...], seconds: float) -> Notes:
    """A note or chord of decaying partials with a soft or hard attack."""
    time = _time(seconds)
    envelope = (1 - np.exp(-time / draw.uniform(0.002, 0.03))) * np.exp(-time / draw.uniform(0.2, 0.8))
    envelope *= np.clip((seconds - time) / 0.01, 0, 1)
    weights = draw.uniform(0.2, 1, 6) / np.arange(1, 7)

    def at(root: int) -> Audio:
        sound: NDArray[np.float64] = np.zeros(len(time))
        for interval in intervals:
            pitch = frequency * 2 ** ((root + interval) / 12)
            for partial_number, weight in enumerate(weights, 1):
                if pitch * partial_number < SAMPLE_RATE / 2:
                    sound += weight * np.sin(2 * np.pi * pitch * partial_number * time)
        return np.asarray(sound * envelope / len(intervals), dtype=np.float32)

    return tuple(at(root) for root in ROOTS)


def _add(mix: Audio, onset: float, sound: Audio) -> None:
    start = round(onset * SAMPLE_RATE)
    first, last = max(start, 0), min(start + len(sound), len(mix))
    if first < last:
        mix[first:last] += sound[first - start : last - start]


def _time(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _draws(split: str, index: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng((20_26, SPLITS.index(split), index, purpose))

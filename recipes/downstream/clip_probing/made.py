"""The made data sets of the clip tasks: a few seconds of sound each, synthesised in code.

They stand in when no data set is given, so that a task runs at once and without a download. What is made by
rule is easy to learn by rule: figures on them show that everything works, and nothing about real music.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motion_data.pair import SPLITS
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.targets import Classes, Tags, Target, Values

SECONDS = 2.5

CLIPS = {"train": 32, "dev": 12, "test": 16}
"""Clips of each split."""

Audio = NDArray[np.float32]

Made = tuple[Audio, NDArray[np.float32]]
"""Sound and label of a clip."""

PARTIALS = {
    "flute": (1.0, 0.1),
    "clarinet": (1.0, 0.0, 0.6, 0.0, 0.4),
    "fiddle": (1.0, 0.8, 0.7, 0.5, 0.4, 0.3),
}
"""Strengths of the partials of the three made instruments."""

PATTERNS = {"march": (2, (0,)), "waltz": (3, (0,)), "backbeat": (4, (1, 3))}
"""Beats a bar, and those of them that the low drum plays, of the three made styles."""

LAYERS = ("drums", "bass", "lead")
"""What a made mixture may hold."""


# Functions of the module, since a loader's processes are handed them where processes are not forked.
def _note(draw: np.random.Generator, index: int) -> Made:
    kind = index % len(PARTIALS)
    return _tone(draw.uniform(200, 500), PARTIALS[list(PARTIALS)[kind]]), np.array(kind, np.float32)


def _rhythm(draw: np.random.Generator, index: int) -> Made:
    kind = index % len(PATTERNS)
    beats, low = PATTERNS[list(PATTERNS)[kind]]
    return _drums(draw, draw.uniform(140, 200), beats, low), np.array(kind, np.float32)


def _mixture(draw: np.random.Generator, index: int) -> Made:
    label = np.array([index >> bit & 1 for bit in range(len(LAYERS))], dtype=np.float32)
    layers = (
        _drums(draw, draw.uniform(90, 150), 4, (0, 2)),
        _tone(draw.uniform(50, 90), (1.0, 0.5)),
        _tone(draw.uniform(500, 900), PARTIALS["fiddle"]),
    )
    silence = 1e-3 * draw.standard_normal(len(layers[0])).astype(np.float32)
    return silence + sum(
        float(is_there) * layer for is_there, layer in zip(label, layers, strict=True)
    ), label


def _mood(draw: np.random.Generator, index: int) -> Made:
    valence, arousal = draw.uniform(1, 9, 2)
    partials = tuple((valence / 10) ** number for number in range(8))
    wav = 0.5 * _tone(draw.uniform(200, 400), partials) + _drums(draw, 60 + 25 * arousal, 4, (0,))
    return wav, np.array([valence, arousal], dtype=np.float32)


def _made(name: str, target: Target, make: Callable[[np.random.Generator, int], Made]) -> ClipData:
    """The same clips each time; every clip is a group of its own."""

    def clip(split: str, index: int) -> Clip:
        key = (SPLITS.index(split), index)
        called = f"{split}_{index:02d}"
        _, label = make(np.random.default_rng(key), index)
        return Clip(called, called, label, partial(_load, make, key))

    splits = {split: [clip(split, index) for index in range(CLIPS[split])] for split in SPLITS}
    return ClipData(f"{name} (synthesised; says nothing about real music)", target, "clip", splits)


def _load(make: Callable[[np.random.Generator, int], Made], key: tuple[int, int]) -> Tensor:
    wav, _ = make(np.random.default_rng(key), key[1])
    return torch.from_numpy(0.5 * wav / np.abs(wav).max())


def _tone(hertz: float, partials: tuple[float, ...]) -> Audio:
    """A sustained note with the given partials."""
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    wav = sum(
        strength * np.sin(2 * np.pi * hertz * (number + 1) * time) for number, strength in enumerate(partials)
    )
    return np.asarray(wav, dtype=np.float32) / sum(partials)


def _drums(draw: np.random.Generator, bpm: float, beats: int, low: tuple[int, ...]) -> Audio:
    """A low drum on some beats of the bar, a bright one on the others."""
    wav = np.zeros(round(SECONDS * SAMPLE_RATE), dtype=np.float32)
    time = np.arange(round(0.12 * SAMPLE_RATE)) / SAMPLE_RATE
    decay = np.exp(-time / 0.03)
    thump = np.sin(2 * np.pi * 70 * time) * decay
    for number in range(int(SECONDS * bpm / 60)):
        start = round(number * 60 / bpm * SAMPLE_RATE)
        hit = thump if number % beats in low else 0.4 * draw.standard_normal(len(time)) * decay
        end = min(start + len(time), len(wav))
        wav[start:end] += hit[: end - start].astype(np.float32)
    return wav


made_notes = partial(_made, "made notes", Classes(tuple(PARTIALS)), _note)
"""Single notes of three instruments, none of the same pitch in two splits."""

made_rhythms = partial(_made, "made rhythms", Classes(tuple(PATTERNS)), _rhythm)
"""Drum patterns of three styles, at any tempo."""

made_mixtures = partial(_made, "made mixtures", Tags(LAYERS), _mixture)
"""Drums, a bass and a lead, any of the three."""

made_moods = partial(_made, "made moods", Values(("valence", "arousal")), _mood)
"""Drums that are faster the more aroused, under a chord that is brighter the higher the valence."""

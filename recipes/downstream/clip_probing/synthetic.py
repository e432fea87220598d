"""Synthetic data sets of the clip tasks, with clips of a few seconds.

They are used if no data set is given, so that a task runs without a download. Scores on them show that
everything works, and say nothing about real music.
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
"""Number of clips of each split."""

Audio = NDArray[np.float32]

LabelledAudio = tuple[Audio, NDArray[np.float32]]
"""Audio and label of a clip."""

PARTIALS = {
    "flute": (1.0, 0.1),
    "clarinet": (1.0, 0.0, 0.6, 0.0, 0.4),
    "fiddle": (1.0, 0.8, 0.7, 0.5, 0.4, 0.3),
}
"""Amplitudes of the partials of three instruments."""

PATTERNS = {"march": (2, (0,)), "waltz": (3, (0,)), "backbeat": (4, (1, 3))}
"""Beats per bar, and beats of the low drum, of three styles."""

LAYERS = ("drums", "bass", "lead")
"""Layers of a mixture."""


# Functions of the module, so that the processes of a data loader can unpickle them.
def _note(rng: np.random.Generator, index: int) -> LabelledAudio:
    kind = index % len(PARTIALS)
    return _tone(rng.uniform(200, 500), PARTIALS[list(PARTIALS)[kind]]), np.array(kind, np.float32)


def _rhythm(rng: np.random.Generator, index: int) -> LabelledAudio:
    kind = index % len(PATTERNS)
    beats, low = PATTERNS[list(PATTERNS)[kind]]
    return _drums(rng, rng.uniform(140, 200), beats, low), np.array(kind, np.float32)


def _mixture(rng: np.random.Generator, index: int) -> LabelledAudio:
    label = np.array([index >> bit & 1 for bit in range(len(LAYERS))], dtype=np.float32)
    layers = (
        _drums(rng, rng.uniform(90, 150), 4, (0, 2)),
        _tone(rng.uniform(50, 90), (1.0, 0.5)),
        _tone(rng.uniform(500, 900), PARTIALS["fiddle"]),
    )
    noise = 1e-3 * rng.standard_normal(len(layers[0])).astype(np.float32)
    return noise + sum(float(tag) * layer for tag, layer in zip(label, layers, strict=True)), label


def _mood(rng: np.random.Generator, index: int) -> LabelledAudio:
    valence, arousal = rng.uniform(1, 9, 2)
    partials = tuple((valence / 10) ** number for number in range(8))
    wav = 0.5 * _tone(rng.uniform(200, 400), partials) + _drums(rng, 60 + 25 * arousal, 4, (0,))
    return wav, np.array([valence, arousal], dtype=np.float32)


def _synthetic(
    name: str, target: Target, make: Callable[[np.random.Generator, int], LabelledAudio]
) -> ClipData:
    """A data set with a fixed seed; every clip is its own group."""

    def clip(split: str, index: int) -> Clip:
        key = (SPLITS.index(split), index)
        name = f"{split}_{index:02d}"
        _, label = make(np.random.default_rng(key), index)
        return Clip(name, name, label, partial(_load, make, key))

    splits = {split: [clip(split, index) for index in range(CLIPS[split])] for split in SPLITS}
    return ClipData(f"{name} (says nothing about real music)", target, "clip", splits)


def _load(make: Callable[[np.random.Generator, int], LabelledAudio], key: tuple[int, int]) -> Tensor:
    wav, _ = make(np.random.default_rng(key), key[1])
    return torch.from_numpy(0.5 * wav / np.abs(wav).max())


def _tone(hertz: float, partials: tuple[float, ...]) -> Audio:
    """A sustained note."""
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    wav = sum(
        strength * np.sin(2 * np.pi * hertz * (number + 1) * time) for number, strength in enumerate(partials)
    )
    return np.asarray(wav, dtype=np.float32) / sum(partials)


def _drums(rng: np.random.Generator, bpm: float, beats: int, low: tuple[int, ...]) -> Audio:
    """A low drum on the beats ``low`` of the bar, a bright drum on the others."""
    wav = np.zeros(round(SECONDS * SAMPLE_RATE), dtype=np.float32)
    time = np.arange(round(0.12 * SAMPLE_RATE)) / SAMPLE_RATE
    decay = np.exp(-time / 0.03)
    thump = np.sin(2 * np.pi * 70 * time) * decay
    for number in range(int(SECONDS * bpm / 60)):
        start = round(number * 60 / bpm * SAMPLE_RATE)
        hit = thump if number % beats in low else 0.4 * rng.standard_normal(len(time)) * decay
        end = min(start + len(time), len(wav))
        wav[start:end] += hit[: end - start].astype(np.float32)
    return wav


synthetic_notes = partial(_synthetic, "synthetic notes", Classes(tuple(PARTIALS)), _note)
"""Single notes of three instruments."""

synthetic_rhythms = partial(_synthetic, "synthetic rhythms", Classes(tuple(PATTERNS)), _rhythm)
"""Drum patterns of three styles at various tempi."""

synthetic_mixtures = partial(_synthetic, "synthetic mixtures", Tags(LAYERS), _mixture)
"""Mixtures of drums, bass and lead."""

synthetic_moods = partial(_synthetic, "synthetic moods", Values(("valence", "arousal")), _mood)
"""Drums whose tempo increases with arousal, and a tone whose brightness increases with valence."""

"""What the decoder is given of each recording, computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from motion_data.beats_file import Beats
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.checkpoint import load_music_tower
from motionbeat_upstream.config import FRAME_RATE, SAMPLE_RATE
from motionbeat_upstream.nn.music_tower import MusicTower
from motionbeat_upstream.tracking.bar_pointer import DecoderInput
from motionbeat_upstream.tracking.decoded_grid import decoder_input
from motionbeat_upstream.tracking.frontend import log_mel
from recipes.benchmark.beats.sets import AnnotatedSound, MusicSet
from recipes.benchmark.beats.trackers import code_hash

LONG = 1.5
"""Recordings longer than so many excerpts are cut to their middle."""


@dataclass(frozen=True)
class Activations:
    """A recording, or its middle, as the decoder gets it."""

    set: str
    piece: str
    annotated: Beats
    spans: NDArray[np.float64]
    """(K, 2) start and stop in seconds of what is annotated."""
    evidence: DecoderInput
    """Of a batch of one."""


def read_activations(
    sets: Sequence[MusicSet], checkpoint: Path, folder: Path, seconds: float
) -> list[Activations]:
    """Those of every recording with at least two annotated beats in its excerpt.

    Args:
        sets: with different names.
        checkpoint: of a tower with beat heads.
        folder: where they are kept, by the content of checkpoint, code and sound.
        seconds: length of an excerpt.

    Raises:
        DataError: the tower has no beat heads, or what is wrong with a recording.
        AudioError: audio that cannot be read.
        CheckpointError: a checkpoint that cannot be read.
    """
    tower = load_music_tower(checkpoint)[0]
    if tower.beat_heads is None:
        raise DataError(f"{checkpoint}: has no beat heads; give a checkpoint that was trained with them")
    made_of = f"{file_sha256(checkpoint)} {code_hash()} {seconds}"
    found = []
    for one in sets:
        for load in tqdm(one.sounds, desc=one.name, unit="recording", disable=None):
            sound = load()
            name = hashlib.sha256(f"{made_of} {sound.sha256}".encode()).hexdigest()
            annotated, spans, arrays = kept_excerpt(tower, sound, seconds, folder / f"{name}.npz")
            if len(annotated.times) >= 2:
                found.append(excerpt(one.name, sound.piece, annotated, arrays, spans))
    return found


def kept_excerpt(
    tower: MusicTower, sound: AnnotatedSound, seconds: float, path: Path
) -> tuple[Beats, NDArray[np.float64], dict[str, NDArray[np.generic]]]:
    """Annotated beats, spans, and the arrays of the decoder's input.

    Args:
        tower: with beat heads.
        sound: of any length.
        seconds: of the excerpt from the middle of a long sound.
        path: of the arrays, which are computed where there is no such file.
    """
    if path.is_file():
        with np.load(path) as file:
            arrays = dict(file)
    else:
        wav = sound.samples(SAMPLE_RATE)
        size = round(seconds * SAMPLE_RATE)
        start = (len(wav) - size) // 2 if len(wav) > LONG * size else 0
        cut = wav[start : start + size] if start else wav
        arrays = activations_of(tower, torch.from_numpy(np.ascontiguousarray(cut)))
        arrays["excerpt"] = np.array([start, start + len(cut)]) / SAMPLE_RATE
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft, draft.open("wb") as out:
            np.savez(out, **arrays)
    start, stop = arrays.pop("excerpt")
    spans = np.array([(start, stop)] if sound.spans is None else sound.spans).clip(start, stop) - start
    inside = (sound.annotated.times >= start) & (sound.annotated.times < stop)
    beats = Beats(sound.annotated.times[inside] - start, sound.annotated.positions[inside])
    return beats, spans[spans[:, 1] > spans[:, 0]], arrays


def excerpt(
    of_set: str,
    piece: str,
    annotated: Beats,
    arrays: Mapping[str, NDArray[np.generic]],
    spans: NDArray[np.float64] | None = None,
) -> Activations:
    """Activations from the arrays of :func:`activations_of`; without ``spans`` all is annotated."""
    evidence = DecoderInput(**{key: torch.from_numpy(value) for key, value in arrays.items()})
    if spans is None:
        spans = np.array([[0.0, evidence.beat.shape[1] / FRAME_RATE]])
    return Activations(of_set, piece, annotated, spans, evidence)


@torch.inference_mode()
def activations_of(tower: MusicTower, wav: Tensor) -> dict[str, NDArray[np.generic]]:
    """What the decoder is given of one waveform (T,) at 16 kHz, by name."""
    lengths = torch.tensor([len(wav)])
    mel, mel_lengths = log_mel(wav[None], lengths, tower.config.n_mels)
    logits = tower.encode_frames(wav[None], lengths).beats
    assert logits is not None  # checked before
    given = decoder_input(logits.beat, logits.downbeat, logits.tempo, mel, mel_lengths)
    return {name: value.numpy() for name, value in vars(given).items()}

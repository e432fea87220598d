"""Inputs of the decoder for each recording, computed once and cached."""

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

MAX_EXCERPTS = 1.5
"""Recordings longer than this many excerpts are cut to an excerpt from their middle."""


@dataclass(frozen=True)
class Activations:
    """Decoder input of a recording, or of an excerpt from its middle."""

    set: str
    piece: str
    annotated: Beats
    spans: NDArray[np.float64]
    """(K, 2) start and stop of the annotated spans in seconds."""
    evidence: DecoderInput
    """Input for a batch of one."""


def read_activations(
    sets: Sequence[MusicSet], checkpoint: Path, folder: Path, seconds: float
) -> list[Activations]:
    """Compute or read the activations of all recordings with at least two annotated beats in the excerpt.

    Args:
        sets: sets with different names.
        checkpoint: checkpoint of a tower with beat heads.
        folder: cache, with files named by the hashes of checkpoint, code and sound.
        seconds: length of an excerpt.

    Raises:
        DataError: the tower has no beat heads, or an invalid recording.
        AudioError: audio that cannot be read.
        CheckpointError: a checkpoint that cannot be read.
    """
    tower = load_music_tower(checkpoint)[0]
    if tower.beat_heads is None:
        raise DataError(f"{checkpoint}: has no beat heads; give a checkpoint with beat heads")
    fingerprint = f"{file_sha256(checkpoint)} {code_hash()} {seconds}"
    activations = []
    for music_set in sets:
        for load in tqdm(music_set.sounds, desc=music_set.name, unit="recording", disable=None):
            sound = load()
            name = hashlib.sha256(f"{fingerprint} {sound.sha256}".encode()).hexdigest()
            annotated, spans, arrays = cached_excerpt(tower, sound, seconds, folder / f"{name}.npz")
            if len(annotated.times) >= 2:
                activations.append(excerpt(music_set.name, sound.piece, annotated, arrays, spans))
    return activations


def cached_excerpt(
    tower: MusicTower, sound: AnnotatedSound, seconds: float, path: Path
) -> tuple[Beats, NDArray[np.float64], dict[str, NDArray[np.generic]]]:
    """Return annotated beats, spans, and the arrays of the decoder input.

    Args:
        tower: tower with beat heads.
        sound: sound of any length.
        seconds: length of the excerpt from the middle of a long sound.
        path: cache file of the arrays, which is written if it does not exist.
    """
    if path.is_file():
        with np.load(path) as file:
            arrays = dict(file)
    else:
        wav = sound.samples(SAMPLE_RATE)
        size = round(seconds * SAMPLE_RATE)
        start = (len(wav) - size) // 2 if len(wav) > MAX_EXCERPTS * size else 0
        cut = wav[start : start + size] if start else wav
        arrays = compute_activations(tower, torch.from_numpy(np.ascontiguousarray(cut)))
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
    set_name: str,
    piece: str,
    annotated: Beats,
    arrays: Mapping[str, NDArray[np.generic]],
    spans: NDArray[np.float64] | None = None,
) -> Activations:
    """Create activations from the arrays of :func:`compute_activations`; ``spans`` None means fully
    annotated."""
    evidence = DecoderInput(**{key: torch.from_numpy(value) for key, value in arrays.items()})
    if spans is None:
        spans = np.array([[0.0, evidence.beat.shape[1] / FRAME_RATE]])
    return Activations(set_name, piece, annotated, spans, evidence)


@torch.inference_mode()
def compute_activations(tower: MusicTower, wav: Tensor) -> dict[str, NDArray[np.generic]]:
    """Decoder input for one waveform (T,) at 16 kHz, by name."""
    lengths = torch.tensor([len(wav)])
    mel, mel_lengths = log_mel(wav[None], lengths, tower.config.n_mels)
    logits = tower.encode_frames(wav[None], lengths).beats
    assert logits is not None  # checked in read_activations
    inputs = decoder_input(logits.beat, logits.downbeat, logits.tempo, mel, mel_lengths)
    return {name: value.numpy() for name, value in vars(inputs).items()}

"""Means over time of a frozen upstream's layers for every slice of a clip, computed once and cached.

The key of an entry is a hash of everything that its tensors depend on: the fingerprint of the upstream, the
content of the audio file (or the samples of a synthetic clip), and the code that reads and slices it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from motion_data.files import file_sha256
from motionbeat_upstream import audio
from recipes.downstream.clip_probing.clips import Clip, slices
from recipes.downstream.encoder import Encoder, sources_hash
from recipes.downstream.tensor_cache import read_cached, write_cached

CODE_HASH = sources_hash([Path(audio.__file__), Path(inspect.getfile(Clip)), Path(__file__)])
"""Hash of the code that reads, slices and averages."""


@dataclass(frozen=True)
class ClipFeatures:
    """Features of a clip."""

    means: Tensor
    """(S, L, D) float32 means of the layers over time for each slice."""
    frames: Tensor
    """(S,) float32 number of frames of each slice."""


def clip_features(
    encoder: Encoder, clips: Sequence[Clip], seconds: float, cache: Path | None = None
) -> list[ClipFeatures]:
    """Features of clips in slices of at most ``seconds``, cached in the folder ``cache`` if given.

    Raises:
        AudioError: audio that cannot be read.
        MotionBeatError: features that are not finite, or layers of different shapes.
    """
    bar = tqdm(clips, desc=f"features, {encoder.label}", unit=" clips", disable=None, leave=False)
    return [_features(encoder, clip, seconds, cache) for clip in bar]


def _features(encoder: Encoder, clip: Clip, seconds: float, cache: Path | None) -> ClipFeatures:
    if cache is None:
        return _encode(encoder, clip.load(), seconds)
    if clip.file is None:
        audio_hash = hashlib.sha256(clip.load().numpy().tobytes()).hexdigest()
    else:
        audio_hash = file_sha256(clip.file)
    source = {"upstream": encoder.fingerprint, "audio": audio_hash, "seconds": seconds, "reading": CODE_HASH}
    key = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
    entry = read_cached(cache, key)
    if entry is not None:
        return ClipFeatures(entry["means"], entry["frames"])
    features = _encode(encoder, clip.load(), seconds)
    write_cached(cache, key, {"means": features.means, "frames": features.frames})
    return features


def _encode(encoder: Encoder, wav: Tensor, seconds: float) -> ClipFeatures:
    layers = [encoder.layers(part) for part in slices(wav, seconds)]
    return ClipFeatures(
        torch.stack([states.mean(1) for states in layers]),
        torch.tensor([float(states.shape[1]) for states in layers]),
    )

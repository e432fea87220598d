"""Time-means of a frozen upstream's layers for every slice of a clip, computed once and kept.

An entry's key is made of all that its numbers depend on: the upstream's fingerprint, the audio file's
contents (or the samples of what is made), how the audio is read and cut. So another checkpoint, another file
under the same name or another version never meets an old entry, and one that is not whole is not read.
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

READING = sources_hash([Path(audio.__file__), Path(inspect.getfile(Clip)), Path(__file__)])
"""Hash of the code that reads, cuts and averages."""


@dataclass(frozen=True)
class ClipFeatures:
    """What is kept of a clip."""

    means: Tensor
    """(S, L, D) float32: time-means of the layers for each slice."""
    frames: Tensor
    """(S,) float32: how many frames each is the mean of."""


def clip_features(
    encoder: Encoder, clips: Sequence[Clip], seconds: float, cache: Path | None = None
) -> list[ClipFeatures]:
    """The features of clips, cut into slices of at most ``seconds``; kept in the folder ``cache``, if any.

    Raises:
        AudioError: audio that cannot be read.
        MotionBeatError: features that cannot be used.
    """
    bar = tqdm(clips, desc=f"features, {encoder.label}", unit=" clips", disable=None, leave=False)
    return [_features(encoder, clip, seconds, cache) for clip in bar]


def _features(encoder: Encoder, clip: Clip, seconds: float, cache: Path | None) -> ClipFeatures:
    if cache is None:
        return _encode(encoder, clip.load(), seconds)
    if clip.file is None:
        heard = hashlib.sha256(clip.load().numpy().tobytes()).hexdigest()
    else:
        heard = file_sha256(clip.file)
    said = {"upstream": encoder.fingerprint, "audio": heard, "seconds": seconds, "reading": READING}
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    kept = read_cached(cache, key)
    if kept is not None:
        return ClipFeatures(kept["means"], kept["frames"])
    found = _encode(encoder, clip.load(), seconds)
    write_cached(cache, key, {"means": found.means, "frames": found.frames})
    return found


def _encode(encoder: Encoder, wav: Tensor, seconds: float) -> ClipFeatures:
    layers = [encoder.layers(part) for part in slices(wav, seconds)]
    return ClipFeatures(
        torch.stack([states.mean(1) for states in layers]),
        torch.tensor([float(states.shape[1]) for states in layers]),
    )

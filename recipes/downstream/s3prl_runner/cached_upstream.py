"""A frozen upstream whose features of each waveform are computed once and cached on disk.

The key of an entry is a hash of everything that the features depend on: the samples, the fingerprint of the
upstream (:func:`~recipes.downstream.encoder.fingerprint`: weights, settings, code, versions, device type),
the name of the features, and the precision. Each waveform is encoded separately, so an entry does not depend
on the batch. Features keep the upstream's data type, so cached ones equal computed ones exactly.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.encoder import fingerprint
from recipes.downstream.tensor_cache import read_cached, write_cached

RANDOM_CROP_TASKS = frozenset(
    (
        *("example", "quesst14_embedding", "sv_voxceleb1", "sws2013", "voxceleb1", "voxceleb1_framelevel"),
        *("voxceleb2_amsoftmax_segment_eval", "voxceleb2_ge2e"),
    )
)
"""Tasks of S3PRL that cut random excerpts in every epoch of a training: their waveforms never repeat."""

MAX_BATCH_DIFFERENCE = 1e-3
"""Largest difference between features of a batch and of single clips, relative to the largest feature."""


class CachedUpstream(nn.Module):
    """Replaces an upstream in S3PRL's runner.

    Args:
        upstream: frozen upstream in eval mode.
        name: name of the features, as for ``-s``.
        device: device of the upstream.
        folder: folder of the cache; several upstreams and processes may share it.
        gigabytes: largest size of the folder; further features are computed but not cached.
        repeats_waveforms: whether the waveforms of the current batch occur again. If not, the upstream
            encodes the batch at once and nothing is cached.
    """

    def __init__(
        self,
        upstream: nn.Module,
        name: str,
        device: torch.device,
        folder: Path,
        gigabytes: float,
        repeats_waveforms: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._upstream = upstream
        self._name = name
        self._folder = folder
        self._limit = gigabytes * 1e9
        self._repeats_waveforms = repeats_waveforms
        self._source = {"upstream": fingerprint(upstream, device), "features": name}
        self._bytes = _folder_bytes(folder)
        self._writes = True
        self.computed = self.read = 0
        """Number of waveforms so far."""

    def forward(self, wavs: Sequence[Tensor]) -> Mapping[str, Any]:
        """Features of (T_i,) waveforms at 16 kHz: a list with (B, F, D) for each layer."""
        if not self._repeats_waveforms():
            features: Mapping[str, Any] = self._upstream(wavs)
            return features
        return {self._name: _batch([self._layers(wav) for wav in wavs])}

    def summary(self) -> str:
        """Number of computed and cached waveforms, and size of the folder."""
        return (
            f"{self.computed} waveforms computed, {self.read} read from the cache; "
            f"{self._bytes / 1e9:.2f} GB (of at most {self._limit / 1e9:g}) in {self._folder}"
        )

    def _layers(self, wav: Tensor) -> list[Tensor]:
        """(F, D) of each layer."""
        device = wav.device.type
        precision = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else ""
        source = json.dumps({**self._source, "precision": precision, "type": str(wav.dtype)}, sort_keys=True)
        samples = wav.detach().cpu().contiguous().numpy()
        key = hashlib.sha256(source.encode() + samples.tobytes()).hexdigest()
        entry = read_cached(self._folder, key)
        if entry is not None:
            self.read += 1
            return [entry[str(layer)].to(wav.device) for layer in range(len(entry))]
        self.computed += 1
        layers = _encode(self._upstream, self._name, wav)
        if self._writes:
            self._write(key, layers)
        return layers

    def _write(self, key: str, layers: Sequence[Tensor]) -> None:
        if self._bytes + sum(layer.nbytes for layer in layers) > self._limit:
            self._stop_writing(f"holds {self._bytes / 1e9:.2f} GB and may not grow further")
            return
        try:
            entry = {str(number): layer for number, layer in enumerate(layers)}
            self._bytes += write_cached(self._folder, key, entry)
        except OSError as error:
            self._stop_writing(str(error.strerror))

    def _stop_writing(self, reason: str) -> None:
        self._writes = False
        print(
            f"{self._folder}: {reason}; no more features are cached in this run. Remove old files there, or "
            f"give --feature_cache_gigabytes or another --feature_cache",
            file=sys.stderr,
        )


def as_layers(features: Any) -> list[Any]:
    """The layers of an upstream's features, which are one tensor or a list or dictionary of tensors."""
    layers = list(features.values()) if isinstance(features, dict) else features
    return list(layers) if isinstance(layers, list | tuple) else [layers]


def _encode(upstream: nn.Module, name: str, wav: Tensor) -> list[Tensor]:
    """(F, D) of each layer of one (T,) waveform."""
    # A copy, because some upstreams normalise in place.
    return [layer[0] for layer in as_layers(upstream([wav.clone()])[name])]


def _batch(clips: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """(B, F, D) of each layer, from the (F_i, D) layers of each clip."""
    return [pad_sequence(list(layer), batch_first=True) for layer in zip(*clips, strict=True)]


@torch.no_grad()
def batch_difference(upstream: nn.Module, name: str, rate: float, device: torch.device) -> float:
    """How much the features of a waveform change in a batch with a longer one.

    Args:
        upstream: upstream in eval mode.
        name: name of the features.
        rate: samples per frame.
        device: device of the upstream.

    Returns:
        The largest difference over layers, relative to the largest absolute value; infinite if the numbers
        of frames differ.
    """
    noise = torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    wavs = [noise.to(device), noise[: SAMPLE_RATE // 3].to(device)]
    batched = as_layers(upstream([wav.clone() for wav in wavs])[name])
    separate = _batch([_encode(upstream, name, wav) for wav in wavs])
    frames = round(len(wavs[1]) / rate)  # as S3PRL's featurizer cuts them
    differences = []
    for in_batch, alone in zip(batched, separate, strict=True):
        x, y = in_batch[1, :frames], alone[1, :frames]
        if x.shape != y.shape:
            return float("inf")
        differences.append(float((x - y).abs().amax() / x.abs().amax().clamp(min=1e-30)))
    return max(differences)


def _folder_bytes(folder: Path) -> int:
    """Size of the files of a cache, including drafts of killed processes."""
    total = 0
    for path in folder.rglob("*.safetensors"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # another process has just renamed its draft
            continue
    return total

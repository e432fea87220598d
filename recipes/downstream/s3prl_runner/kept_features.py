"""A frozen upstream whose features of each waveform are computed once and kept on disk.

An entry's key is made of all that its numbers depend on: the samples, the upstream's fingerprint
(:func:`~recipes.downstream.encoder.fingerprint`: weights, settings, code, versions, kind of device), which
of its features are meant, and the precision it computes in. Each waveform is encoded alone, so an entry does
not depend on the batch. Features are kept as the upstream gives them, float32 for most: a probe trains on the
same numbers whether they were computed or read.
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
from recipes.downstream.kept_tensors import read_kept, write_kept

CUT_ANEW = frozenset(
    (
        *("example", "quesst14_embedding", "sv_voxceleb1", "sws2013", "voxceleb1", "voxceleb1_framelevel"),
        *("voxceleb2_amsoftmax_segment_eval", "voxceleb2_ge2e"),
    )
)
"""Tasks of S3PRL's that cut other excerpts in every epoch of a training: their features never come again."""

TOLERANCE = 1e-3
"""Largest difference by which a batch may change features, as a share of the largest of them."""


class KeptFeatures(nn.Module):
    """Stands in for an upstream in S3PRL's runner.

    Args:
        upstream: frozen, in eval mode.
        name: of the features that are read, as ``-s`` gives it.
        device: that the upstream computes on.
        folder: of the entries; several upstreams and processes may share it.
        gigabytes: that the folder may hold; what is beyond is computed and not kept.
        comes_again: whether the waveforms of the batch at hand come again. Those that do not are handed to
            the upstream together, and nothing of them is kept.
    """

    def __init__(
        self,
        upstream: nn.Module,
        name: str,
        device: torch.device,
        folder: Path,
        gigabytes: float,
        comes_again: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._upstream = upstream
        self._name = name
        self._folder = folder
        self._limit = gigabytes * 1e9
        self._comes_again = comes_again
        self._made_by = {"upstream": fingerprint(upstream, device), "features": name}
        self._bytes = folder_bytes(folder)
        self._writes = True
        self.computed = self.read = 0
        """Waveforms so far."""

    def forward(self, wavs: Sequence[Tensor]) -> Mapping[str, Any]:
        """The chosen features of (T_i,) waveforms at 16 kHz: a list of (B, F, D), one of each layer."""
        if not self._comes_again():
            features: Mapping[str, Any] = self._upstream(wavs)
            return features
        return {self._name: _batch([self._layers(wav) for wav in wavs])}

    def summary(self) -> str:
        """What was computed and read, and what the folder holds now."""
        return (
            f"of {self.computed} waveforms computed, of {self.read} read; {self._bytes / 1e9:.2f} GB (of at "
            f"most {self._limit / 1e9:g}) in {self._folder}"
        )

    def _layers(self, wav: Tensor) -> list[Tensor]:
        """(F, D) of each layer."""
        kind = wav.device.type
        precision = str(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else ""
        made_by = json.dumps(
            {**self._made_by, "precision": precision, "type": str(wav.dtype)}, sort_keys=True
        )
        samples = wav.detach().cpu().contiguous().numpy()
        key = hashlib.sha256(made_by.encode() + samples.tobytes()).hexdigest()
        kept = read_kept(self._folder, key)
        if kept is not None:
            self.read += 1
            return [kept[str(layer)].to(wav.device) for layer in range(len(kept))]
        self.computed += 1
        layers = _alone(self._upstream, self._name, wav)
        self._keep(key, layers)
        return layers

    def _keep(self, key: str, layers: Sequence[Tensor]) -> None:
        size = sum(layer.nbytes for layer in layers)
        if not self._writes:
            return
        if self._bytes + size > self._limit:
            self._stop(f"{self._bytes / 1e9:.2f} GB, which is all that it may hold")
            return
        try:
            self._bytes += write_kept(
                self._folder, key, dict(zip(map(str, range(len(layers))), layers, strict=True))
            )
        except OSError as error:
            self._stop(str(error.strerror))

    def _stop(self, reason: str) -> None:
        self._writes = False
        print(
            f"{self._folder}: {reason}; no more features are kept in this run. Remove what is no longer "
            f"needed there, or give --feature_cache_gigabytes or another --feature_cache",
            file=sys.stderr,
        )


def layers_of(features: Any) -> list[Any]:
    """The layers of what an upstream gives under one name: one tensor, or several in a list or dictionary."""
    layers = list(features.values()) if isinstance(features, dict) else features
    return list(layers) if isinstance(layers, list | tuple) else [layers]


def _alone(upstream: nn.Module, name: str, wav: Tensor) -> list[Tensor]:
    """(F, D) of each layer of one (T,) waveform."""
    # A copy: some upstreams normalise in place.
    return [layer[0] for layer in layers_of(upstream([wav.clone()])[name])]


def _batch(each: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """(B, F, D) of each layer, from the (F_i, D) of each waveform's."""
    return [pad_sequence(list(layer), batch_first=True) for layer in zip(*each, strict=True)]


@torch.no_grad()
def batch_difference(upstream: nn.Module, name: str, rate: float, device: torch.device) -> float:
    """How much the features of a waveform differ between a batch, with a longer one, and alone.

    Args:
        upstream: in eval mode.
        name: of the features.
        rate: samples a frame.
        device: that the upstream computes on.

    Returns:
        The largest difference as a share of the largest absolute value, over layers; infinite where the
        numbers of frames differ.
    """
    noise = torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    wavs = [noise.to(device), noise[: SAMPLE_RATE // 3].to(device)]
    together = layers_of(upstream([wav.clone() for wav in wavs])[name])
    by_itself = _batch([_alone(upstream, name, wav) for wav in wavs])
    frames = round(len(wavs[1]) / rate)  # that S3PRL's featurizer takes
    differences = []
    for one, other in ((a[1, :frames], b[1, :frames]) for a, b in zip(together, by_itself, strict=True)):
        if one.shape != other.shape:
            return float("inf")
        differences.append(float((one - other).abs().amax() / one.abs().amax().clamp(min=1e-30)))
    return max(differences)


def folder_bytes(folder: Path) -> int:
    """Bytes that the entries of a folder take, drafts of killed processes among them."""
    total = 0
    for path in folder.rglob("*.safetensors"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # another process has just renamed its draft
            continue
    return total

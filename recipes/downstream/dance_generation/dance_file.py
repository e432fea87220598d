"""A model that dances as one safetensors file: averaged weights, layer weights, settings, provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motion_data.files import file_sha256
from motionbeat_upstream.checkpoint import Provenance, fit, read_weights, write_weights
from motionbeat_upstream.config import LARGEST
from motionbeat_upstream.errors import CheckpointError
from recipes.downstream.dance_generation.body_numbers import BodyNumbers, JointNumbers, RotationNumbers
from recipes.downstream.dance_generation.model import DanceModel, dance_model, weights_of
from recipes.downstream.dance_generation.settings import read_settings
from recipes.downstream.s3prl_runner.registration import IN_THE_PACKAGE, weights_file

SHIPPED = Path(__file__).parent / "weights" / "dance_tiny.safetensors"
"""The model in the package; README.md beside it is its model card."""

FORMAT = "motionbeat.dance_model"

LAYER_WEIGHTS = "layer_weights"
"""Name of the (L,) weights of the upstream's layers, which sum to 1."""


@dataclass(frozen=True)
class Layers:
    """How an upstream's layers become one sequence of features."""

    weights: Tensor
    """(L,) of sum 1 that they are added with."""
    only: int | None = None
    """Or the one layer that is taken."""

    def mix(self, states: Sequence[Tensor]) -> Tensor:
        """(B, T, D) of L layers' (B, T, D).

        Raises:
            CheckpointError: another number of layers than the weights are of, or no such layer.
        """
        fits = len(states) == len(self.weights) if self.only is None else self.only < len(states)
        if not fits:
            wanted = f"{len(self.weights)} layers" if self.only is None else f"layer {self.only}"
            raise CheckpointError(
                f"the upstream has {len(states)} layers, the dance model was trained on {wanted}; give the "
                f"upstream that it was trained with"
            )
        if self.only is not None:
            return states[self.only]
        weighted: Tensor = torch.einsum("l,lbtd->btd", self.weights.to(states[0]), torch.stack(list(states)))
        return weighted


@dataclass(frozen=True)
class Heard:
    """What a model has learned to hear music by."""

    upstream: str
    """Its name in S3PRL's hub."""
    sha256: str | None
    """Of the file of the upstream's weights; None where it has none, or where it is not known."""
    rate: float
    """Samples at 16 kHz from one feature to the next."""
    layers: Layers

    def weights_file(self, given: Path | None) -> Path | None:
        """The upstream's weights: those given, or the ones in the package that the model was trained with.

        Raises:
            CheckpointError: the model was trained with other weights, or there is no such file.
        """
        file = weights_file(self.upstream, given)
        if given is None and file is not None and self.sha256 is not None:
            # The name may stand for newer weights than it did when the model was trained.
            known = (file, *IN_THE_PACKAGE.values())
            file = next((one for one in known if file_sha256(one) == self.sha256), file)
        if file is None or self.sha256 is None:
            return file
        if not file.is_file():
            raise CheckpointError(f"{file}: no such file")
        if (found := file_sha256(file)) != self.sha256:
            raise CheckpointError(
                f"{file}: weights {found[:12]}…, the dance model was trained on {self.sha256[:12]}… of "
                f"{self.upstream}; give those (--upstream-weights), or train a dance model on these"
            )
        return file


@dataclass(frozen=True)
class DanceFile:
    """What :func:`read_dance_model` reads."""

    model: DanceModel
    """In eval mode, on the CPU."""
    heard: Heard
    provenance: Provenance


def write_dance_model(
    path: Path,
    model: DanceModel,
    settings: Mapping[str, Any],
    heard: Heard,
    provenance: Provenance,
) -> None:
    """Write a model; the file appears when it is whole.

    Args:
        path: to write to.
        model: whose averaged weights are kept.
        settings: the section ``downstream_expert``.
        heard: how music reached it in training.
        provenance: of the weights.
    """
    config = {
        "body": "rotations" if isinstance(model.numbers, RotationNumbers) else "joints",
        "music_dim": model.music_scale.num_features,
        "upstream": heard.upstream,
        "upstream_sha256": heard.sha256,
        "rate": heard.rate,
        "only_layer": heard.layers.only,
        "settings": {**settings, "datarc": {**settings.get("datarc", {}), "root": ""}},
    }
    weights = {**weights_of(model), LAYER_WEIGHTS: heard.layers.weights}
    write_weights(weights, path, FORMAT, config, provenance)


def read_dance_model(path: Path) -> DanceFile:
    """Read what :func:`write_dance_model` wrote.

    Raises:
        CheckpointError: no such file, not one of these, or weights that do not fit what it says.
    """
    weights, config, provenance = read_weights(path, FORMAT)
    try:
        settings = read_settings(config["settings"], inference=True)
        numbers = _numbers(config["body"], weights)
        music_dim, only, sha256 = config["music_dim"], config["only_layer"], config["upstream_sha256"]
        layers = Layers(weights.pop(LAYER_WEIGHTS).float(), only)
        rate = float(config["rate"])
        fits = (
            isinstance(music_dim, int)
            and 1 <= music_dim <= LARGEST
            and (only is None or (isinstance(only, int) and only >= 0))
            and (sha256 is None or isinstance(sha256, str))
            and layers.weights.dim() == 1
            and bool(layers.weights.isfinite().all())
            and 0 < rate < math.inf
        )
        if not fits:
            raise ValueError(
                f"music_dim {music_dim!r}, only_layer {only!r}, upstream_sha256 {sha256!r}, rate {rate}, "
                f"layer weights {tuple(layers.weights.shape)}"
            )
        heard = Heard(str(config["upstream"]), sha256, rate, layers)
        # The denoiser's own weights are still trained; what dances is their average.
        model = fit(path, lambda: dance_model(numbers, music_dim, settings), weights, optional="denoiser.")
        return DanceFile(model.eval(), heard, provenance)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: cannot be used ({reason}); export it again") from error


def _numbers(body: str, weights: Mapping[str, Tensor]) -> BodyNumbers:
    return RotationNumbers(weights["numbers.rest"]) if body == "rotations" else JointNumbers()


BYTES = 32
"""Of a SHA-256."""


def weights_digest(upstream: str, given: str | None) -> Tensor:
    """(32,) uint8, the SHA-256 of the file of an upstream's weights; zeros where it has none here.

    Args:
        upstream: its name in S3PRL's hub.
        given: ``-k`` of ``run_downstream.py``.
    """
    file = weights_file(upstream, None if given is None else Path(given))
    if file is None or not file.is_file():
        return torch.zeros(BYTES, dtype=torch.uint8)
    digest = bytes.fromhex(file_sha256(file))
    return torch.tensor(list(digest), dtype=torch.uint8)


def as_hex(digest: Tensor) -> str | None:
    """What :func:`weights_digest` gave, as it is written; None for zeros."""
    return bytes(digest.tolist()).hex() if digest.any() else None

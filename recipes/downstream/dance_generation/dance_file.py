"""Files of dance models: averaged weights, layer weights, settings and provenance in safetensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionbeat_upstream.checkpoint import Provenance, build_module, read_weights, write_weights
from motionbeat_upstream.config import MAX_SIZE
from motionbeat_upstream.errors import CheckpointError
from recipes.downstream.dance_generation.body_numbers import JointNumbers, RotationNumbers
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.settings import read_settings
from recipes.downstream.s3prl_runner.registration import PACKAGED_WEIGHTS, weights_file, weights_sha256

SHIPPED = Path(__file__).parent / "weights" / "dance_tiny.safetensors"
"""The model in the package; README.md beside it is its model card."""

FORMAT = "motionbeat.dance_model"

LAYER_WEIGHTS = "layer_weights"
"""Key of the (L,) layer weights in the file."""


@dataclass(frozen=True)
class DanceFile:
    """A model with the upstream that it was trained on."""

    model: DanceModel
    """In eval mode, on the CPU."""
    settings: Mapping[str, Any]
    """The section ``downstream_expert``."""
    upstream: str
    """Name of the upstream in S3PRL's hub."""
    sha256: str | None
    """SHA-256 of the upstream's weights; None if it has none or they are unknown."""
    rate: float
    """Samples at 16 kHz per feature."""
    layer_weights: Tensor
    """(L,) weights of the upstream's layers, of sum 1."""
    only_layer: int | None
    """A single layer instead of the weighted sum."""
    provenance: Provenance

    def mix(self, states: Sequence[Tensor]) -> Tensor:
        """(B, T, D) weighted sum of L layers of (B, T, D), or the single layer.

        Raises:
            CheckpointError: another number of layers than in training, or no such layer.
        """
        layers, only = len(self.layer_weights), self.only_layer
        if len(states) != layers if only is None else only >= len(states):
            raise CheckpointError(
                f"the upstream has {len(states)} layers; the dance model was trained on "
                f"{f'{layers} layers' if only is None else f'layer {only}'}; give the upstream that it was "
                f"trained with"
            )
        if only is not None:
            return states[only]
        weights = self.layer_weights.to(states[0])
        weighted: Tensor = torch.einsum("l,lbtd->btd", weights, torch.stack(list(states)))
        return weighted

    def weights_file(self, checkpoint: Path | None) -> Path | None:
        """The weights of the upstream: ``checkpoint``, or those in the package that the model was trained
        with.

        Raises:
            CheckpointError: no such file, or the model was trained with other weights.
        """
        file = weights_file(self.upstream, checkpoint)
        if file is None or self.sha256 is None:
            return file
        if not file.exists():
            raise CheckpointError(f"{file}: no such file")
        # The package may have newer weights of this name than at the time of the training.
        candidates = [file] if checkpoint is not None else [file, *PACKAGED_WEIGHTS.values()]
        for candidate in candidates:
            if weights_sha256(self.upstream, candidate) == self.sha256:
                return candidate
        raise CheckpointError(
            f"{file}: weights {weights_sha256(self.upstream, file)[:12]}…; the dance model was trained on "
            f"{self.sha256[:12]}… of {self.upstream}: give those (--upstream-weights), or train a dance "
            f"model on these"
        )


def write_dance_model(path: Path, dance: DanceFile) -> None:
    """Write a model atomically, with its averaged weights only."""
    model, settings = dance.model, dance.settings
    config = {
        "body": "rotations" if isinstance(model.numbers, RotationNumbers) else "joints",
        "music_dim": model.music_scale.num_features,
        "upstream": dance.upstream,
        "upstream_sha256": dance.sha256,
        "rate": dance.rate,
        "only_layer": dance.only_layer,
        "settings": {**settings, "datarc": {**settings.get("datarc", {}), "root": ""}},
    }
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("denoiser.")}
    write_weights({**weights, LAYER_WEIGHTS: dance.layer_weights}, path, FORMAT, config, dance.provenance)


def read_dance_model(path: Path) -> DanceFile:
    """Read a file of :func:`write_dance_model`.

    Raises:
        CheckpointError: no such file, another kind of file, or weights that do not match its settings.
    """
    weights, config, provenance = read_weights(path, FORMAT)
    try:
        settings = read_settings(config["settings"], inference=True)
        music_dim, only, sha256 = config["music_dim"], config["only_layer"], config["upstream_sha256"]
        layers, rate = weights.pop(LAYER_WEIGHTS).float(), float(config["rate"])
        rotated = config["body"] == "rotations"
        numbers = RotationNumbers(weights["numbers.rest"]) if rotated else JointNumbers()
        is_valid = (
            isinstance(music_dim, int)
            and 1 <= music_dim <= MAX_SIZE
            and (only is None or (isinstance(only, int) and only >= 0))
            and (sha256 is None or isinstance(sha256, str))
            and layers.dim() == 1
            and bool(layers.isfinite().all())
            and 0 < rate < math.inf
        )
        if not is_valid:
            raise ValueError(
                f"music_dim {music_dim!r}, only_layer {only!r}, upstream_sha256 {sha256!r}, rate {rate}, "
                f"layer weights {tuple(layers.shape)}"
            )
        # The file contains the averaged denoiser only.
        model = build_module(
            path, lambda: DanceModel(numbers, music_dim, settings), weights, optional="denoiser."
        )
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: cannot be used ({reason}); export it again") from error
    upstream = str(config["upstream"])
    return DanceFile(model.eval(), config["settings"], upstream, sha256, rate, layers, only, provenance)

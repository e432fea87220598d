"""Checkpoints: one safetensors file with weights, configuration, format version and provenance.

safetensors holds numbers and text only, so reading a file from a stranger runs none of its code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.errors import CheckpointError as CheckpointError
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.music_tower import MusicTower, untrained_music_tower

FORMAT = "motionbeat.music_tower"
FORMAT_VERSION = 2

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Provenance:
    """Where weights come from, for model cards and tables."""

    training: str
    """What they were trained on, or ``none``."""
    details: Mapping[str, Any]
    """Whatever else is known: step, seed, hash of the corpus, versions."""

    @property
    def trained(self) -> bool:
        """False for a random initialisation."""
        return self.training != "none"


def save_music_tower(tower: MusicTower, path: str | Path, provenance: Provenance) -> None:
    """Write a tower to ``path``; the file appears there only when it is whole."""
    write_weights(tower.state_dict(), path, FORMAT, tower.config.to_dict(), provenance)


def load_music_tower(path: str | Path) -> tuple[MusicTower, Provenance]:
    """Read a tower, in eval mode and on the CPU.

    Raises:
        CheckpointError: no such file, not a safetensors file, truncated, of another format or
            version, or weights that do not fit the configuration beside them.
    """
    path = Path(path)
    weights, values, provenance = read_weights(path, FORMAT)
    try:
        config = MusicTowerConfig.from_dict(values)
    except ConfigError as error:
        raise CheckpointError(
            f"{path}: its configuration or provenance cannot be read ({error}); export the file again"
        ) from error
    tower = fit(path, lambda: untrained_music_tower(config), weights)
    return tower.eval(), provenance


def write_weights(
    weights: Mapping[str, Tensor],
    path: str | Path,
    kind: str,
    config: Mapping[str, Any],
    provenance: Provenance,
) -> None:
    """Write weights to ``path`` with what must be known of them; the file appears when it is whole.

    Args:
        weights: by name.
        path: to write to.
        kind: the format's name.
        config: plain values.
        provenance: of the weights.
    """
    metadata = {
        "format": kind,
        "format_version": str(FORMAT_VERSION),
        "config": json.dumps(dict(config)),
        "provenance": json.dumps({"training": provenance.training, "details": dict(provenance.details)}),
    }
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with atomic_path(path) as draft:
        save_file(kept, draft, metadata)


def read_weights(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any], Provenance]:
    """Weights by name, the values of their configuration, and where they come from.

    Raises:
        CheckpointError: no such file, not a safetensors file, truncated, or of another format or version.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise CheckpointError(
            f"{path}: expected a MotionBeat checkpoint (one .safetensors file), found {found}; check the path"
        )
    try:
        with safe_open(path, framework="pt") as file:
            config, provenance = _read_metadata(path, kind, file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({reason}); found {path.stat().st_size} bytes. "
            f"Fetch it again, or export it again from the training run"
        ) from error
    return weights, config, provenance


def _read_metadata(path: Path, kind: str, metadata: Mapping[str, str]) -> tuple[dict[str, Any], Provenance]:
    if metadata.get("format") != kind:
        raise CheckpointError(
            f"{path}: expected format {kind!r} in the file's metadata, found {metadata.get('format')!r}; "
            f"this is a safetensors file of another model"
        )
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: format version {metadata.get('format_version')!r}, but this release reads version "
            f"{FORMAT_VERSION}; install the release of MotionBeat that wrote the file"
        )
    try:
        config = dict(json.loads(metadata["config"]))
        origin = json.loads(metadata["provenance"])
        return config, Provenance(str(origin["training"]), dict(origin["details"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its configuration or provenance cannot be read ({error!s}); export the file again"
        ) from error


def fit(
    path: Path, make: Callable[[], Module], weights: Mapping[str, Tensor], optional: str | None = None
) -> Module:
    """A module with weights loaded into it.

    Args:
        path: that they were read from, for the message.
        make: makes the module. Where the weights do not fit, only its shapes are made, for a damaged
            configuration may ask for more than the memory holds.
        weights: exactly those that it has.
        optional: beginning of the names of those that may be missing, and keep their initial values.

    Raises:
        CheckpointError: what is missing, unexpected, of another shape or not finite.
    """
    with torch.device("meta"):
        expected = make().state_dict()
    faults = [
        f"missing {name}"
        for name in expected
        if name not in weights and not (optional and name.startswith(optional))
    ]
    faults += [f"unexpected {name}" for name in weights if name not in expected]
    faults += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    faults += [
        f"{name} holds values that are NaN or infinite"
        for name, tensor in weights.items()
        if name in expected and not bool(tensor.isfinite().all())
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CheckpointError(
            f"{path}: its weights do not fit its configuration: {'; '.join(faults[:5])}{more}. Export the "
            f"file again"
        )
    module = make()
    module.load_state_dict(dict(weights), strict=optional is None)
    return module

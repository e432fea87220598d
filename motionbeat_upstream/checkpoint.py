"""Checkpoints: safetensors files with weights, configuration, format version and provenance.

The music tower alone is what listening tasks need. A second file beside it holds the motion tower and what
else was trained with it, so that music and motion can be compared as they were in pretraining. safetensors
holds numbers and text only, so reading a file from a stranger runs none of its code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.config import LARGEST, MotionTowerConfig, MusicTowerConfig
from motionbeat_upstream.errors import CheckpointError as CheckpointError
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.nn.music_tower import MusicTower, untrained_music_tower

FORMAT, MOTION_FORMAT = "motionbeat.music_tower", "motionbeat.motion_side"
FORMAT_VERSION = 2

MUSIC = "music."
"""Prefix of the music tower's own weights in a whole model."""

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


def is_private(details: Mapping[str, Any]) -> bool:
    """Whether weights with these details, or weights that they come from, are for private use."""
    origins = [details["init"]] if details.get("init") else []
    origins += details.get("mean_of", ())
    return bool(details.get("private")) or any(is_private(origin["details"]) for origin in origins)


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
    config = _config(path, values)
    tower = fit(path, lambda: untrained_music_tower(config), weights)
    return tower.eval(), provenance


def read_music_config(path: str | Path) -> MusicTowerConfig:
    """The configuration of a tower, without reading its weights.

    Raises:
        CheckpointError: as for :func:`load_music_tower`.
    """
    path = Path(path)
    with _opened(path) as file:
        values, _ = _read_metadata(path, FORMAT, file.metadata() or {})
    return _config(path, values)


def _config(path: Path, values: Mapping[str, Any]) -> MusicTowerConfig:
    try:
        return MusicTowerConfig.from_dict(values)
    except ConfigError as error:
        raise _unreadable(path, error) from error


def save_motion_side(model: MotionBeat, path: str | Path, provenance: Provenance) -> None:
    """Write all of a model but its music tower; the file appears when it is whole."""
    spectrum = model.music_spectrum
    config = {
        "motion": model.motion.config.to_dict(),
        "projection": model.project_music.out_features,
        "curves": 0 if spectrum is None else spectrum.curves.out_features,
        "music_weights": tensors_sha256(model.music.state_dict()),
    }
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith(MUSIC)}
    write_weights(weights, path, MOTION_FORMAT, config, provenance)


def load_motionbeat(
    music: str | Path, motion_side: str | Path, of_one_step: bool = True
) -> tuple[MotionBeat, Provenance]:
    """A whole model from its two files, in eval mode and on the CPU.

    Args:
        music: checkpoint of the music tower.
        motion_side: what was trained with it.
        of_one_step: whether both must be exported from one step of one run. What is trained further may begin
            with a music tower that changed since.

    Raises:
        CheckpointError: a file that cannot be used, or two that were not trained together but must be.
    """
    path = Path(motion_side)
    tower, _ = load_music_tower(music)
    weights, values, provenance = read_weights(path, MOTION_FORMAT)
    if of_one_step and values.get("music_weights") != tensors_sha256(tower.state_dict()):
        raise CheckpointError(
            f"{path}: was trained with another music tower than {music}; export both from one step of one run"
        )
    try:
        config = MotionTowerConfig.from_dict(values["motion"])
        projection, curves = _size(values, "projection", 1), _size(values, "curves", 0)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error
    own = {f"{MUSIC}{name}": value for name, value in tower.state_dict().items()}
    model = fit(path, lambda: MotionBeat(tower.config, config, projection, curves), own | weights)
    return model.eval(), provenance


def _size(values: Mapping[str, Any], name: str, least: int) -> int:
    value = values[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
        raise ValueError(f"{name} must be at least {least} and at most {LARGEST}, got {value!r}")
    return value


def tensors_sha256(tensors: Mapping[str, object]) -> str:
    """Hash of tensors with their names, types and shapes; what is no tensor is left out."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        if isinstance(value, Tensor):
            # Files hold hashes of float32 weights that do not name the type.
            kind = "" if value.dtype == torch.float32 else f"{value.dtype} "
            digest.update(f"{name} {kind}{tuple(value.shape)} ".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_weights(
    weights: Mapping[str, Tensor],
    path: str | Path,
    kind: str,
    config: Mapping[str, Any],
    provenance: Provenance,
) -> None:
    """Write weights by name, with plain values of their configuration, as the format ``kind``.

    The file appears at ``path`` when it is whole.
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
    with _opened(path) as file:
        config, provenance = _read_metadata(path, kind, file.metadata() or {})
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return weights, config, provenance


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file; what goes wrong in reading it is a CheckpointError."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise CheckpointError(
            f"{path}: expected a MotionBeat checkpoint (one .safetensors file), found {found}; check the path"
        )
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({reason}); found {path.stat().st_size} bytes. "
            f"Fetch it again, or export it again from the training run"
        ) from error


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
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path}: its configuration or provenance cannot be read ({error}); export the file again"
    )


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

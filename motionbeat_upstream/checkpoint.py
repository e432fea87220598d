"""Checkpoints: safetensors files with weights, configuration, format version and provenance.

Music tasks need the music tower alone. A second file contains the motion tower and everything else that was
trained with it, to compare music and motion as in pretraining. safetensors files contain numbers and text
only, so reading an untrusted file is safe.
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
from motionbeat_upstream.config import MAX_SIZE, MotionTowerConfig, MusicTowerConfig
from motionbeat_upstream.errors import CheckpointError as CheckpointError
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.nn.music_tower import MusicTower, untrained_music_tower

FORMAT, MOTION_FORMAT = "motionbeat.music_tower", "motionbeat.motion_side"
FORMAT_VERSION = 2

MUSIC = "music."
"""Prefix of the music tower's weights in a whole model."""

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Provenance:
    """Origin of weights, for model cards and tables."""

    training: str
    """The training data, or ``none``."""
    details: Mapping[str, Any]
    """Further information: step, seed, hash of the corpus, versions."""

    @property
    def trained(self) -> bool:
        """False for a random initialisation."""
        return self.training != "none"


def is_private(details: Mapping[str, Any]) -> bool:
    """Whether weights with these provenance details, or weights that they were derived from, are for private
    use."""
    origins = [details["init"]] if details.get("init") else []
    origins += details.get("mean_of", ())
    return bool(details.get("private")) or any(is_private(origin["details"]) for origin in origins)


def save_music_tower(tower: MusicTower, path: str | Path, provenance: Provenance) -> None:
    """Write a tower to a file, atomically."""
    write_weights(tower.state_dict(), path, FORMAT, tower.config.to_dict(), provenance)


def load_music_tower(path: str | Path) -> tuple[MusicTower, Provenance]:
    """Load a tower in eval mode on the CPU.

    Raises:
        CheckpointError: the file is missing, truncated, not a safetensors file or of another format or
            version, or the weights do not match the configuration.
    """
    path = Path(path)
    weights, values, provenance = read_weights(path, FORMAT)
    config = _config(path, values)
    tower = build_module(path, lambda: untrained_music_tower(config), weights)
    return tower.eval(), provenance


def read_music_config(path: str | Path) -> MusicTowerConfig:
    """Read the configuration of a tower without its weights.

    Raises:
        CheckpointError: as for :func:`load_music_tower`.
    """
    path = Path(path)
    with _open(path) as file:
        values, _ = _read_metadata(path, FORMAT, file.metadata() or {})
    return _config(path, values)


def _config(path: Path, values: Mapping[str, Any]) -> MusicTowerConfig:
    try:
        return MusicTowerConfig.from_dict(values)
    except ConfigError as error:
        raise _unreadable(path, error) from error


def save_motion_side(model: MotionBeat, path: str | Path, provenance: Provenance) -> None:
    """Write a model without its music tower to a file, atomically."""
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
    music: str | Path, motion_side: str | Path, same_step: bool = True
) -> tuple[MotionBeat, Provenance]:
    """Load a whole model from its two files, in eval mode on the CPU.

    Args:
        music: checkpoint of the music tower.
        motion_side: checkpoint of the rest of the model.
        same_step: whether both must be exported from one step of a run. For further training the music tower
            may be another one.

    Raises:
        CheckpointError: a file cannot be used, or the files must be of one step and are not.
    """
    path = Path(motion_side)
    tower, _ = load_music_tower(music)
    weights, values, provenance = read_weights(path, MOTION_FORMAT)
    if same_step and values.get("music_weights") != tensors_sha256(tower.state_dict()):
        raise CheckpointError(
            f"{path}: was trained with another music tower than {music}; export both from one step of a run"
        )
    try:
        config = MotionTowerConfig.from_dict(values["motion"])
        projection, curves = _size(values, "projection", 1), _size(values, "curves", 0)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error
    music_weights = {f"{MUSIC}{name}": value for name, value in tower.state_dict().items()}
    weights = music_weights | weights
    model = build_module(path, lambda: MotionBeat(tower.config, config, projection, curves), weights)
    return model.eval(), provenance


def _size(values: Mapping[str, Any], name: str, minimum: int) -> int:
    value = values[name]
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= MAX_SIZE:
        raise ValueError(f"{name} must be at least {minimum} and at most {MAX_SIZE}, got {value!r}")
    return value


def tensors_sha256(tensors: Mapping[str, object]) -> str:
    """Hash of tensors with their names, types and shapes; other values are ignored."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        if isinstance(value, Tensor):
            # Stored hashes of float32 weights do not include the type.
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
    """Write weights to a file, atomically.

    Args:
        weights: by name.
        path: of the file.
        kind: value of ``format`` in the metadata.
        config: configuration in plain values.
        provenance: origin of the weights.
    """
    metadata = {
        "format": kind,
        "format_version": str(FORMAT_VERSION),
        "config": json.dumps(dict(config)),
        "provenance": json.dumps({"training": provenance.training, "details": dict(provenance.details)}),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with atomic_path(path) as draft:
        save_file(tensors, draft, metadata)


def read_weights(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any], Provenance]:
    """Read weights by name, the values of their configuration, and their provenance.

    Raises:
        CheckpointError: the file is missing, truncated, not a safetensors file, or of another format or
            version.
    """
    with _open(path) as file:
        config, provenance = _read_metadata(path, kind, file.metadata() or {})
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return weights, config, provenance


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a safetensors file; raises CheckpointError if it cannot be read."""
    if not path.is_file():
        actual = "a folder" if path.is_dir() else "nothing"
        raise CheckpointError(
            f"{path}: expected a MotionBeat checkpoint (a .safetensors file), found {actual}; check the path"
        )
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: not a complete safetensors file ({reason}); it has {path.stat().st_size} bytes. "
            f"Download it again, or export it again from the training run"
        ) from error


def _read_metadata(path: Path, kind: str, metadata: Mapping[str, str]) -> tuple[dict[str, Any], Provenance]:
    if metadata.get("format") != kind:
        raise CheckpointError(
            f"{path}: expected format {kind!r} in the file's metadata, found {metadata.get('format')!r}; "
            f"this is a file of another model"
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
        f"{path}: the configuration or provenance cannot be read ({error}); export the file again"
    )


def build_module(
    path: Path, make: Callable[[], Module], weights: Mapping[str, Tensor], optional: str | None = None
) -> Module:
    """Create a module and load weights into it.

    Args:
        path: of the weights, for messages.
        make: creates the module. It is first called on the meta device to check the weights, since a damaged
            configuration may need more than the memory.
        weights: by name.
        optional: prefix of the names of weights that may be missing, and keep their initial values.

    Raises:
        CheckpointError: weights are missing, unexpected, of another shape or not finite.
    """
    with torch.device("meta"):
        expected = make().state_dict()
    problems = [
        f"missing {name}"
        for name in expected
        if name not in weights and not (optional and name.startswith(optional))
    ]
    problems += [f"unexpected {name}" for name in weights if name not in expected]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    problems += [
        f"{name} contains NaN or infinite values"
        for name, tensor in weights.items()
        if name in expected and not bool(tensor.isfinite().all())
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(
            f"{path}: the weights do not match the configuration: {'; '.join(problems[:5])}{more}. Export "
            f"the file again"
        )
    module = make()
    module.load_state_dict(dict(weights), strict=optional is None)
    return module

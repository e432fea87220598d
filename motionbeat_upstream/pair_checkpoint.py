"""The motion tower and what else was trained with a music tower, beside that tower's own checkpoint.

The music tower alone is what listening tasks need; with this file beside it, music and motion can be compared
as they were in pretraining.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionbeat_upstream.checkpoint import (
    CheckpointError,
    Provenance,
    fit,
    load_music_tower,
    read_weights,
    write_weights,
)
from motionbeat_upstream.config import LARGEST, MotionTowerConfig
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.motionbeat import MotionBeat
from motionbeat_upstream.nn.music_tower import MusicTower

FORMAT = "motionbeat.motion_side"

MUSIC = "music."
"""What the names of the music tower's own weights begin with."""


def save_motion_side(model: MotionBeat, path: str | Path, provenance: Provenance) -> None:
    """Write all of a model but its music tower; the file appears when it is whole."""
    spectrum = model.music_spectrum
    config = {
        "motion": model.motion.config.to_dict(),
        "projection": model.project_music.out_features,
        "curves": 0 if spectrum is None else spectrum.curves.out_features,
        "music_weights": music_hash(model.music),
    }
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith(MUSIC)}
    write_weights(weights, path, FORMAT, config, provenance)


def load_motionbeat(music: str | Path, motion_side: str | Path) -> tuple[MotionBeat, Provenance]:
    """A whole model from its two files, in eval mode and on the CPU.

    Args:
        music: checkpoint of the music tower.
        motion_side: what was trained with it.

    Raises:
        CheckpointError: a file that cannot be used, or two that were not trained together.
    """
    path = Path(motion_side)
    tower, _ = load_music_tower(music)
    weights, values, provenance = read_weights(path, FORMAT)
    if values.get("music_weights") != music_hash(tower):
        raise CheckpointError(
            f"{path}: was trained with another music tower than {music}; export both from one step of one run"
        )
    try:
        config = MotionTowerConfig.from_dict(values["motion"])
        projection, curves = _size(values, "projection", 1), _size(values, "curves", 0)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: its configuration or provenance cannot be read ({error}); export the file again"
        ) from error
    own = {f"{MUSIC}{name}": value for name, value in tower.state_dict().items()}
    model = fit(path, lambda: MotionBeat(tower.config, config, projection, curves), own | weights)
    return model.eval(), provenance


def _size(values: Mapping[str, Any], name: str, least: int) -> int:
    value = values[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
        raise ValueError(f"{name} must be at least {least} and at most {LARGEST}, got {value!r}")
    return value


def music_hash(tower: MusicTower) -> str:
    """Of a music tower's weights, whatever its grid is estimated from."""
    digest = hashlib.sha256()
    for name, value in sorted(tower.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()

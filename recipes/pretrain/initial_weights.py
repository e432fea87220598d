"""Initial weights of a new run, and frozen parts of the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from motion_data.files import file_sha256
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.checkpoint import load_motionbeat, load_music_tower
from motionbeat_upstream.errors import CheckpointError, MotionBeatError
from recipes.pretrain.config import InitSection
from recipes.pretrain.model import PretrainedModel

INIT_FILE = "init.json"
"""File in the folder of a run that records its initial weights."""


def load_initial_weights(model: PretrainedModel, init: InitSection) -> None:
    """Copy exported weights into a model; parts that are not in the files keep their random initialisation.

    Raises:
        MotionBeatError: an invalid file, or weights of other sizes.
    """
    if init.music is None:
        return
    try:
        if init.motion is None:
            model.motionbeat.music.load_state_dict(load_music_tower(init.music)[0].state_dict())
        else:
            source = load_motionbeat(init.music, init.motion, same_step=False)[0]
            model.motionbeat.load_state_dict(source.state_dict())
    except CheckpointError as error:
        raise MotionBeatError(f"init: {error}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise MotionBeatError(
            f"init: {init.music} does not match the model of this run ({reason[:300]}); use the same model "
            f"section for both"
        ) from error


def freeze(model: PretrainedModel, names: Sequence[str]) -> None:
    """Exclude modules from training.

    Raises:
        MotionBeatError: no such module.
    """
    for name in names:
        try:
            model.motionbeat.get_submodule(name).requires_grad_(False)
        except AttributeError:
            choices = sorted(
                module for module, _ in model.motionbeat.named_modules() if module.count(".") < 2
            )
            raise MotionBeatError(
                f"init.frozen: there is no module {name!r}; choose from {', '.join(choices)}"
            ) from None


def write_init(folder: Path, init: InitSection) -> None:
    """Record the initial weights in the folder of a run."""
    if init.music is None:
        return
    provenance = load_music_tower(init.music)[1]
    record = {
        "music_sha256": file_sha256(init.music),
        "motion_sha256": None if init.motion is None else file_sha256(init.motion),
        "training": provenance.training,
        "details": dict(provenance.details),
    }
    write_text(folder / INIT_FILE, json.dumps(record, indent=2) + "\n")


def read_init(folder: Path) -> dict[str, Any] | None:
    """Read the record of :func:`write_init`; None for a run with a random initialisation."""
    file = folder / INIT_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

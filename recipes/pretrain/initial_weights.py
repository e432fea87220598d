"""Exported weights that a new run begins with, and parts of the model that keep theirs."""

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

INIT = "init.json"
"""File of a run's folder that says which weights it began with."""


def load_initial_weights(model: PretrainedModel, init: InitSection) -> None:
    """Copy exported weights into a model; what the files do not hold keeps its random initialisation.

    Raises:
        MotionBeatError: a file that cannot be used, or weights of other sizes.
    """
    if init.music is None:
        return
    try:
        if init.motion is None:
            model.motionbeat.music.load_state_dict(load_music_tower(init.music)[0].state_dict())
        else:
            source = load_motionbeat(init.music, init.motion, of_one_step=False)[0]
            model.motionbeat.load_state_dict(source.state_dict())
    except CheckpointError as error:
        raise MotionBeatError(f"init: {error}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise MotionBeatError(
            f"init: {init.music} does not fit the model of this run ({reason[:300]}); give both the same "
            f"model section"
        ) from error


def freeze(model: PretrainedModel, names: Sequence[str]) -> None:
    """Exclude modules from training.

    Raises:
        MotionBeatError: there is no such module.
    """
    for name in names:
        try:
            model.motionbeat.get_submodule(name).requires_grad_(False)
        except AttributeError:
            parts = ", ".join(
                sorted(part for part, _ in model.motionbeat.named_modules() if part.count(".") < 2)
            )
            raise MotionBeatError(f"init.frozen: there is no module {name!r}; choose from {parts}") from None


def write_init(folder: Path, init: InitSection) -> None:
    """Write down in a run's folder which weights it begins with."""
    if init.music is None:
        return
    provenance = load_music_tower(init.music)[1]
    record = {
        "music_sha256": file_sha256(init.music),
        "motion_sha256": None if init.motion is None else file_sha256(init.motion),
        "training": provenance.training,
        "details": dict(provenance.details),
    }
    write_text(folder / INIT, json.dumps(record, indent=2) + "\n")


def read_init(folder: Path) -> dict[str, Any] | None:
    """What :func:`write_init` wrote; None for a run that began with a random initialisation."""
    file = folder / INIT
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

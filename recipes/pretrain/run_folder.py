"""The folder of a run: its lock, its configuration and its metrics."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairseq2.utils.structured import StandardValueConverter
from ruamel.yaml import YAML

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import MotionBeatError
from recipes.pretrain.config import PretrainConfig
from recipes.pretrain.export import checkpoint_steps

CHECKED_SECTIONS = ("model", "data", "criterion", "trainer", "optimizer", "lr_scheduler")
"""Sections that must not change when a run is resumed."""

UNCHECKED_KEYS = {
    ("data", name) for name in ("workers", "memory_megabytes", "failures_in_row", "own_process", "corpora")
}
"""Keys of these sections that may change. Corpora are identified by their content, not by their path."""

CONFIG_PATH = "checkpoints/config.yaml"
"""Configuration of the checkpoints. fairseq2 rewrites config.yaml in the folder at every start, not
atomically."""

WRITE_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
)
"""Error codes of failed writes that are not program errors."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock the folder of a run until the end of the ``with`` block or of the process.

    Raises:
        MotionBeatError: another job has locked it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MotionBeatError(
                f"{folder}: another job is training in this folder; stop it first, or give another folder"
            ) from error
        yield


def rank_and_size(cluster: str) -> tuple[int, int]:
    """Rank of this process and number of processes of the job, as determined by fairseq2.

    Args:
        cluster: ``common.cluster`` of the configuration.
    """
    environment = os.environ
    if cluster != "slurm" and "RANK" in environment and "WORLD_SIZE" in environment:
        return int(environment["RANK"]), int(environment["WORLD_SIZE"])
    if cluster != "none" and "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment:
        return int(environment["SLURM_PROCID"]), int(environment["SLURM_NTASKS"])
    return 0, 1


def last_step(folder: Path) -> int | None:
    """The last step from which a run can be resumed, or None."""
    return max(checkpoint_steps(folder, "trainer"), default=None)


def check_same_config(folder: Path, config: PretrainConfig) -> None:
    """Check that a resumed run has the same configuration.

    Raises:
        MotionBeatError: the folder has checkpoints of another configuration; the message lists the keys.
    """
    if last_step(folder) is None:
        return
    file = folder / CONFIG_PATH
    if not file.is_file():
        raise MotionBeatError(
            f"{folder}: contains checkpoints but no {CONFIG_PATH}, the copy of config.yaml; give another "
            f"folder"
        )
    previous = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    current: Any = StandardValueConverter().unstructure(config)
    defaults: Any = StandardValueConverter().unstructure(PretrainConfig())
    # Keys that are missing in a run of an earlier version have their defaults.
    current_values = _flatten(current)
    previous_values = _flatten({"data": defaults["data"]}) | _flatten(previous)
    differing = [
        f"{'.'.join(key)} is {current_values.get(key)!r}, was {previous_values.get(key)!r}"
        for key in sorted(current_values | previous_values)
        if (key[0] in CHECKED_SECTIONS and key[:2] not in UNCHECKED_KEYS) or key == ("common", "seed")
        if current_values.get(key) != previous_values.get(key)
    ]
    if differing:
        raise MotionBeatError(
            f"{folder}: contains a run of another configuration: {'; '.join(differing)}. Use its "
            f"configuration ({file}), or give another folder"
        )


def write_config(folder: Path, config: PretrainConfig) -> None:
    """Write the configuration of the checkpoints."""
    with atomic_path(folder / CONFIG_PATH) as draft, draft.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(StandardValueConverter().unstructure(config), file)


def check_same_world_size(folder: Path, size: int) -> None:
    """Check that a resumed run has the same number of processes, which divide its clips and states.

    Raises:
        MotionBeatError: the last checkpoint is of another number of processes.
    """
    step = last_step(folder)
    if step is None:
        return
    previous = len(list((folder / f"checkpoints/step_{step}/trainer").glob("rank_*.pt")))
    if previous and previous != size:
        raise MotionBeatError(
            f"{folder}: contains a run of {previous} process(es), and this job has {size}; use {previous}, "
            f"or give another folder"
        )


def find_write_error(error: BaseException | None) -> OSError | None:
    """Find the failed write, such as on a full disk, that caused an error; None if there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in WRITE_ERRORS:
            return error
        error = error.__cause__ or error.__context__
    return None


def truncate_metrics(folder: Path) -> None:
    """Remove metrics after the last checkpoint, which a resumed run records again."""
    step = last_step(folder) or 0
    for file in sorted((folder / "metrics").rglob("*.jsonl")):
        lines = file.read_text(encoding="utf-8").splitlines()
        remaining = [line for line in lines if _is_before(line, step)]
        if remaining != lines:
            with atomic_path(file) as draft:
                draft.write_text("".join(f"{line}\n" for line in remaining), encoding="utf-8")


def _is_before(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["Step"] <= step)
    except (json.JSONDecodeError, KeyError, TypeError):
        # An incomplete line of a killed process.
        return False


def _flatten(values: object) -> dict[tuple[str, ...], object]:
    """Values of nested dictionaries by the path of their keys."""
    if not isinstance(values, dict) or not values:
        return {(): values}
    return {
        (str(key), *path): leaf for key, value in values.items() for path, leaf in _flatten(value).items()
    }

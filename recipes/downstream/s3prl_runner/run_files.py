"""The files of a run in its folder, and safe reading of S3PRL's checkpoints."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from motionbeat_upstream.errors import MotionBeatError

BEST = "dev-best.ckpt"
"""The checkpoint with the best score on dev."""

FILES = (
    *("*.ckpt", "args_*.yaml", "config_*.yaml", "events.out.tfevents.*", "log.*"),
    *(
        "scores-*",
        "predictions-*.png",
        "said-*.png",
        "plots/*.png",
    ),  # said-*.png were written by earlier versions
)
"""Patterns of the files that S3PRL and the tasks write into the folder of a run."""

Files = Mapping[Path, tuple[int, int]]
"""Inode and modification time of files; they change when a file is written again."""


def list_run_files(folder: Path) -> Files:
    """The files of a run in a folder."""
    return {path: _state(path) for pattern in FILES for path in folder.glob(pattern) if path.is_file()}


def has_checkpoint(files: Files) -> bool:
    """Whether the files contain a checkpoint; without one a run has no results to protect."""
    return any(path.suffix == ".ckpt" for path in files)


def remove(files: Files) -> None:
    """Remove those of the files that have not changed."""
    for path, state in files.items():
        if path.is_file() and _state(path) == state:
            path.unlink()


def read_run_options(files: Files) -> dict[str, Any]:
    """The options of the last start of a run, as recorded by S3PRL; empty if there is no record."""
    records = sorted(path for path in files if path.match("args_*.yaml"))
    if not records:
        return {}
    try:
        options = yaml.safe_load(records[-1].read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return options if isinstance(options, dict) else {}


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def latest_checkpoint(path: str | Path) -> Path:
    """The checkpoint of S3PRL's ``-e``: the file itself, or the one with the highest step in a folder.

    Raises:
        MotionBeatError: no such path, or a folder without ``states-*.ckpt``.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise MotionBeatError(f"-e {path}: no such file or folder; give the -p of an earlier training")
    checkpoints = [file for file in path.glob("states-*.ckpt") if _step(file).isdecimal()]
    if not checkpoints:
        raise MotionBeatError(
            f"-e {path}: contains no checkpoint (states-*.ckpt); give the -p of an earlier training, "
            f"or train first (-m train)"
        )
    return max(checkpoints, key=lambda file: int(_step(file)))


def _step(checkpoint: Path) -> str:
    return checkpoint.stem.removeprefix("states-")


def read_checkpoint_options(path: Path) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Read the options and the configuration of a training from its checkpoint.

    Raises:
        MotionBeatError: not a checkpoint of S3PRL, truncated, or with objects of other classes.
    """
    import torch

    try:
        with checkpoint_classes():
            # The meta device avoids reading the weights.
            checkpoint = torch.load(path, map_location="meta", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # torch's unpickler raises errors of many kinds
        raise MotionBeatError(f"{path}: {_unreadable_reason(path)}") from error
    match checkpoint:
        case {"Args": argparse.Namespace() as settings, "Config": dict() as config}:
            return settings, config
    raise MotionBeatError(f"{path}: not a checkpoint of run_downstream.py (no Args and Config in it)")


def _unreadable_reason(path: Path) -> str:
    import torch

    try:
        with checkpoint_classes():
            unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:
        unsafe = []
    if not unsafe:
        return f"not a complete checkpoint ({path.stat().st_size} bytes); use an earlier one (-e FILE)"
    names = " ".join(", ".join(unsafe).split())
    return (
        f"contains objects that S3PRL's checkpoints do not ({names}); it is not loaded, because that could "
        f"run foreign code"
    )


@contextmanager
def checkpoint_classes() -> Iterator[None]:
    """Allow ``torch.load(weights_only=True)`` to read the classes in S3PRL's checkpoints.

    These are the options (argparse.Namespace) and the schedule of the learning rate, which S3PRL's optimizers
    store among their parameters. Both have plain attributes only.
    """
    import torch
    from s3prl import optimizers

    classes = {argparse.Namespace, *optimizers.SCHEDULES.values()}
    known = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([c for c in classes if c not in known]):
        yield

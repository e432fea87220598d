"""The files of a run in its folder: what another run there would replace, and S3PRL's checkpoints.

Checkpoints are read without running anybody's code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from motionbeat_upstream.errors import MotionBeatError

BEST = "dev-best.ckpt"
"""The checkpoint of the weights that did best on dev."""

FILES = (
    *("*.ckpt", "args_*.yaml", "config_*.yaml", "events.out.tfevents.*", "log.*"),
    *("scores-*", "said-*.png", "plots/*.png"),
)
"""What S3PRL and the tasks write into the folder of a run."""

Files = Mapping[Path, tuple[int, int]]
"""Inode and time of change of each file, by which a file that was written anew is known."""


def files_of_run(folder: Path) -> Files:
    """The files of a run in a folder."""
    return {path: _state(path) for pattern in FILES for path in folder.glob(pattern) if path.is_file()}


def holds_training(files: Files) -> bool:
    """Whether there is a checkpoint among them; what a run leaves that never came to one is worth nothing."""
    return any(path.suffix == ".ckpt" for path in files)


def remove(files: Files) -> None:
    """Remove the files that are still what they were."""
    for path, state in files.items():
        if path.is_file() and _state(path) == state:
            path.unlink()


def options_of_run(files: Files) -> dict[str, Any]:
    """The options that S3PRL recorded when the run was last started; empty where it has not."""
    records = sorted(path for path in files if path.match("args_*.yaml"))
    if not records:
        return {}
    try:
        found = yaml.safe_load(records[-1].read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def latest_checkpoint(place: str | Path) -> Path:
    """The checkpoint that S3PRL's ``-e`` means: the file itself, or the last step's in a folder.

    Raises:
        MotionBeatError: no such place, or a folder without ``states-*.ckpt``.
    """
    place = Path(place)
    if place.is_file():
        return place
    if not place.is_dir():
        raise MotionBeatError(f"-e {place}: no such file or folder; give the -p of an earlier training")
    found = {step: path for path in place.glob("states-*.ckpt") if (step := path.stem[7:]).isdecimal()}
    if not found:
        raise MotionBeatError(
            f"-e {place}: holds no checkpoint (states-*.ckpt); give the -p of an earlier training, "
            f"or train first (-m train)"
        )
    return found[max(found, key=int)]


def read_settings(path: Path) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options and the configuration of an experiment, from its checkpoint.

    Raises:
        MotionBeatError: not a checkpoint of S3PRL's, truncated, or one that holds other classes.
    """
    import torch

    try:
        with safe_classes():
            # On the meta device no weight is read: this is a look at the label.
            checkpoint = torch.load(path, map_location="meta", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # torch's unpickler raises whatever the bytes of another file lead it to
        raise MotionBeatError(f"{path}: {_why_unreadable(path)}") from error
    match checkpoint:
        case {"Args": argparse.Namespace() as settings, "Config": dict() as config}:
            return settings, config
    raise MotionBeatError(f"{path}: not a checkpoint of run_downstream.py (no Args and Config in it)")


def _why_unreadable(path: Path) -> str:
    import torch

    try:
        with safe_classes():
            strangers = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:
        strangers = []
    if not strangers:
        return f"not a whole checkpoint ({path.stat().st_size} bytes); take an earlier one (-e FILE)"
    named = " ".join(", ".join(strangers).split())
    return (
        f"holds what a checkpoint of S3PRL does not ({named}), and loading that could run foreign code; it "
        f"is not loaded"
    )


@contextmanager
def safe_classes() -> Iterator[None]:
    """Let ``torch.load(weights_only=True)`` read what S3PRL's checkpoints hold besides tensors.

    That is the options (argparse.Namespace) and the learning rate's schedule, which S3PRL's own
    optimizers keep among their parameters. Both are plain attributes; no other class is let in.
    """
    import torch
    from s3prl import optimizers

    classes = {argparse.Namespace, *optimizers.SCHEDULES.values()}
    known = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([c for c in classes if c not in known]):
        yield

"""S3PRL's checkpoints: read without running anybody's code, and never left half-written."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.earlier_run import Files, remove
from recipes.downstream.process_state import replaced

BEST = "dev-best.ckpt"
"""The checkpoint of the weights that did best on dev."""


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


@contextmanager
def whole_checkpoints(replaced_files: Files) -> Iterator[None]:
    """Within, ``torch.save`` to a path is atomic, and S3PRL's runner drops old checkpoints after it.

    The files of an earlier run that is to be replaced go once the first checkpoint is there.

    S3PRL writes under the final name, and removes the checkpoints beyond ``max_keep`` before it
    writes the next. An end in between (Ctrl-C, a full disk) would leave a torn checkpoint, or with
    ``max_keep: 1`` none.
    """
    import torch
    from s3prl.downstream import runner

    shelf = _RemoveLater()
    plain_save = torch.save

    def save(obj: object, target: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(target, str | os.PathLike):
            plain_save(obj, target, *args, **kwargs)
            return
        try:
            with atomic_path(Path(target)) as draft:
                plain_save(obj, draft, *args, **kwargs)
        except RuntimeError as error:
            if "inline_container" not in str(error):
                raise
            free = shutil.disk_usage(Path(target).parent).free
            raise MotionBeatError(
                f"{target}: could not be written whole ({free / 1e6:.0f} MB are free there, or a quota is "
                f"used up); make room and go on with -e {Path(target).parent}"
            ) from error
        shelf.clear(saved=Path(target))
        remove(replaced_files)

    with ExitStack() as undo:
        undo.enter_context(replaced(torch, "save", save))
        undo.enter_context(replaced(runner, "os", shelf))
        yield


class _RemoveLater:
    """Stands in for the module ``os`` in S3PRL's runner: ``remove`` waits for the next checkpoint."""

    def __init__(self) -> None:
        self._waiting: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def remove(self, path: str) -> None:
        self._waiting.append(Path(path))

    def clear(self, saved: Path) -> None:
        """Remove what waits, once the checkpoint of a step is there."""
        if saved.match("states-*.ckpt"):
            for path in self._waiting:
                if path != saved:
                    path.unlink(missing_ok=True)
            self._waiting.clear()

"""Context managers around S3PRL's command: they restore global state and make its checkpoints atomic."""

from __future__ import annotations

import builtins
import logging
import os
import random
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.s3prl_runner.run_files import Files, remove


@contextmanager
def restored_process() -> Iterator[None]:
    """Restore on exit the global state that S3PRL's command changes.

    This is ``builtins.isinstance``, torch's sharing strategy, cudnn flags and hub folder, the root logger,
    the warning filters, ``sys.path``, the number of threads, the states of the random generators, and the
    process group of a distributed run.
    """
    import numpy as np
    import torch

    with ExitStack() as undo:
        undo.enter_context(warnings.catch_warnings())
        undo.callback(setattr, builtins, "isinstance", builtins.isinstance)
        sharing = torch.multiprocessing.get_sharing_strategy()
        undo.callback(torch.multiprocessing.set_sharing_strategy, sharing)
        for flag in ("enabled", "deterministic", "benchmark"):
            undo.callback(setattr, torch.backends.cudnn, flag, getattr(torch.backends.cudnn, flag))
        undo.callback(_restore_hub_folder, torch.hub.get_dir())
        undo.callback(_restore_root_logger, logging.root.level, list(logging.root.handlers))
        undo.callback(sys.path.__setitem__, slice(None), list(sys.path))
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        undo.callback(random.setstate, random.getstate())
        undo.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 (S3PRL seeds this one)
        undo.callback(torch.set_rng_state, torch.get_rng_state())
        if torch.cuda.is_available():
            undo.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        if not torch.distributed.is_initialized():
            undo.callback(_leave_process_group)
        yield


@contextmanager
def patched(owner: Any, name: str, value: object) -> Iterator[None]:
    """Set ``owner.name`` to another value until the end of the block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _restore_hub_folder(folder: str) -> None:
    import torch

    if torch.hub.get_dir() != folder:
        torch.hub.set_dir(folder)


def _restore_root_logger(level: int, handlers: list[logging.Handler]) -> None:
    logging.root.setLevel(level)
    for handler in [h for h in logging.root.handlers if h not in handlers]:
        logging.root.removeHandler(handler)


def _leave_process_group() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def atomic_checkpoints(replaced_files: Files) -> Iterator[None]:
    """Make ``torch.save`` to a path atomic, and let S3PRL's runner remove old checkpoints after it.

    S3PRL writes checkpoints under their final names, and removes those beyond ``max_keep`` before it writes
    the next. An interruption in between (Ctrl-C, a full disk) would leave an incomplete checkpoint, or none
    with ``max_keep: 1``.

    Args:
        replaced_files: files of an earlier run, which are removed after the first checkpoint.
    """
    import torch
    from s3prl.downstream import runner

    deferred = _DeferredRemoval()
    original_save = torch.save

    def save(obj: object, target: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(target, str | os.PathLike):
            original_save(obj, target, *args, **kwargs)
            return
        try:
            with atomic_path(Path(target)) as draft:
                original_save(obj, draft, *args, **kwargs)
        except RuntimeError as error:
            if "inline_container" not in str(error):
                raise
            free = shutil.disk_usage(Path(target).parent).free
            raise MotionBeatError(
                f"{target}: could not be written ({free / 1e6:.0f} MB are free, or a quota is used up); "
                f"make room and resume with -e {Path(target).parent}"
            ) from error
        deferred.clear(saved=Path(target))
        remove(replaced_files)

    with patched(torch, "save", save), patched(runner, "os", deferred):
        yield


class _DeferredRemoval:
    """Replaces ``os`` in S3PRL's runner: ``remove`` waits until the next checkpoint is saved."""

    def __init__(self) -> None:
        self._waiting: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def remove(self, path: str) -> None:
        self._waiting.append(Path(path))

    def clear(self, saved: Path) -> None:
        """Remove the waiting files after the checkpoint of a step is saved."""
        if saved.match("states-*.ckpt"):
            for path in self._waiting:
                if path != saved:
                    path.unlink(missing_ok=True)
            self._waiting.clear()

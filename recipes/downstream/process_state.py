"""What a run of S3PRL changes in the process, put back afterwards."""

from __future__ import annotations

import builtins
import logging
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def restored() -> Iterator[None]:
    """Put back on leaving, also by an exception, what S3PRL's command changes for good.

    These are ``builtins.isinstance``, torch's sharing strategy, cudnn flags and hub folder, the
    root logger, the warning filters, ``sys.path``, the number of threads, the states of the random
    generators, and the process group of a distributed run.
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
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Give ``owner.name`` another value, until the end of the block."""
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

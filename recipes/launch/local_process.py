"""The process of a launch on this machine."""

from __future__ import annotations

import contextlib
import signal
import time

import psutil  # type: ignore[import-untyped]

_PATIENCE = 10.0
"""Seconds that a process has for ending by itself; submitit's controller takes 1 for its tasks."""


def started(process: int) -> float | None:
    """When a process began, in seconds since 1970; None: it is over."""
    try:
        found = psutil.Process(process)
        return None if found.status() == psutil.STATUS_ZOMBIE else float(found.create_time())
    except psutil.NoSuchProcess:
        return None


def is_alive(process: int, began: float | None) -> bool:
    """Whether the process that began then still runs, and is not another one of the same number."""
    return began is not None and started(process) == began


def stop(process: int, began: float | None) -> None:
    """End a launch's process, with INT and then KILL; its children end with it. Returns when it is over."""
    for number in (signal.SIGINT, signal.SIGKILL):
        deadline = time.monotonic() + _PATIENCE
        if is_alive(process, began):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(process).send_signal(number)
        while is_alive(process, began) and time.monotonic() < deadline:
            time.sleep(0.05)

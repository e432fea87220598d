"""The files of a run in its folder: what another run there would replace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

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

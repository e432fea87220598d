"""Atomic writes: a file appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_SUFFIX_LENGTH = 16
"""Longer suffixes are no file type, and would make the draft's name too long."""


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield the path of a draft in the folder of ``target``, with the same suffix; it is renamed at the end.

    On an error, a full disk or Ctrl-C the draft is removed and ``target`` is unchanged. The name of the draft
    is short, so that ``target`` may have the longest name that the file system allows.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = target.suffix if len(target.suffix) <= MAX_SUFFIX_LENGTH else ""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-", suffix=suffix)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o644)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    r"""Write a text file as UTF-8, atomically.

    Bytes of file names that are not UTF-8 are written as ``\udcNN``, which JSON decodes to the same bytes.
    """
    with atomic_path(target) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")


def is_hidden(path: Path) -> bool:
    """Whether a file is hidden, such as the draft of a killed process; hidden files are no inputs."""
    return path.name.startswith(".")


def is_unwritable_disk(error: OSError) -> bool:
    """Whether the disk is full or read-only, so that other files cannot be written either."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

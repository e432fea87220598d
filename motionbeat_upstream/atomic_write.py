"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_SUFFIX = 16
"""Characters; more are no file type, and would make the draft's name too long."""


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """A draft's path beside ``target``, of the same suffix; renamed to it at the end.

    On any error, a full disk or Ctrl-C the draft is removed and ``target`` is left as it was. The draft's
    name is short, so that ``target`` may have the longest name that the file system allows.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = target.suffix if len(target.suffix) <= LONGEST_SUFFIX else ""
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
    r"""Write a text file as UTF-8, whole or not at all.

    Bytes of file names that are not UTF-8 are written as ``\udcNN``, which JSON reads back as they were.
    """
    with atomic_path(target) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")


def is_hidden(path: Path) -> bool:
    """Whether a file is a draft that a killed process left, or hidden otherwise: no input of a folder's."""
    return path.name.startswith(".")


def stops_writing(error: OSError) -> bool:
    """Whether no other file can be written either: the disk is full or read-only."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

"""Reading of files on disk or at any URL that fsspec opens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from motion_data.errors import DataError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

NOT_FOUND_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Errors of a file that does not exist."""


def read_range(path: str, start: int | None = None, stop: int | None = None) -> bytes:
    """Read the bytes of a file from ``start`` up to ``stop``, or as many of them as exist.

    Args:
        path: on disk, or a URL such as ``s3://bucket/file`` or ``filecache::s3://bucket/file``.
        start: first byte; None for 0.
        stop: byte after the last; None for the end.

    Raises:
        FileNotFoundError: the file does not exist.
        DataError: the kind of URL is unknown, a package is missing, or reading fails.
    """
    try:
        filesystem, name = _filesystem(path)
        content: bytes = filesystem.cat_file(name, start, stop)
    except NOT_FOUND_ERRORS as error:
        raise FileNotFoundError(f"{path}: no such file") from error
    except Exception as error:  # each storage backend has its own errors
        raise _read_error(path, error) from error
    return content


def file_sizes(paths: Sequence[str]) -> list[int | None]:
    """Return the sizes in bytes of files of one folder; None if the storage does not report them.

    Raises:
        FileNotFoundError, DataError: as :func:`read_range`.
    """
    if not paths:
        return []
    try:
        filesystem, _ = _filesystem(paths[0])
        sizes: list[int | None] = filesystem.sizes([_filesystem(path)[1] for path in paths])
    except NOT_FOUND_ERRORS as error:
        raise FileNotFoundError(str(error)) from error
    except Exception as error:
        raise _read_error(os.path.dirname(paths[0]), error) from error
    return sizes


def _filesystem(path: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a path or URL, and the file's name there."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if "://" in path:
        filesystem, name = url_to_fs(path)
        return filesystem, name
    # fsspec would split a local name at ``::``.
    return LocalFileSystem(), os.path.abspath(path)


def _read_error(path: str, error: Exception) -> DataError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return DataError(f"{path}: cannot be read ({reason}); check the address, the network and its permissions")

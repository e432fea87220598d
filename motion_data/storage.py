"""Files on disk, or at any URL that fsspec opens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from motion_data.errors import DataError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

NOT_FOUND_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What is raised where there is no such file."""


def read_range(path: str, start: int | None = None, stop: int | None = None) -> bytes:
    """The bytes of a file, from ``start`` up to ``stop``, or as many of them as it has.

    Args:
        path: on disk, or a URL such as ``s3://bucket/file`` or ``filecache::s3://bucket/file``.
        start: first byte; None for 0.
        stop: byte behind the last; None for the end.

    Raises:
        FileNotFoundError: no such file.
        DataError: a URL of no known kind, a package that it needs, or any other fault of reading.
    """
    try:
        files, name = _filesystem(path)
        content: bytes = files.cat_file(name, start, stop)
    except NOT_FOUND_ERRORS as error:
        raise FileNotFoundError(f"{path}: no such file") from error
    except Exception as error:  # every kind of storage has errors of its own
        raise _read_error(path, error) from error
    return content


def file_sizes(paths: Sequence[str]) -> list[int | None]:
    """Bytes of files that lie in one folder; None where the storage does not tell.

    Raises:
        FileNotFoundError, DataError: as :func:`read_range`.
    """
    if not paths:
        return []
    try:
        opened = [_filesystem(path) for path in paths]
        found: list[int | None] = opened[0][0].sizes([name for _, name in opened])
    except NOT_FOUND_ERRORS as error:
        raise FileNotFoundError(str(error)) from error
    except Exception as error:
        raise _read_error(os.path.dirname(paths[0]), error) from error
    return found


def _filesystem(path: str) -> tuple[AbstractFileSystem, str]:
    """What reads a file, and the file's name there."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if "://" in path:
        files, name = url_to_fs(path)
        return files, name
    # fsspec would take a name with :: in it apart.
    return LocalFileSystem(), os.path.abspath(path)


def _read_error(path: str, error: Exception) -> DataError:
    fault = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return DataError(f"{path}: cannot be read ({fault}); check the address, the network and its permissions")

"""Reading of files with errors that name them, and atomic writing of sound."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path, is_hidden
from motionbeat_upstream.config import SAMPLE_RATE

if TYPE_CHECKING:
    from torch import Tensor


def find_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Find the files of a folder and its subfolders by suffix, in any case; hidden files are skipped."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not is_hidden(path) and path.is_file()
    )


def read_bytes(path: Path) -> bytes:
    """Read the bytes of a file.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 hash of a file in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_npz(path: str | Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz file, without unpickling.

    Args:
        path: the file.
        names: names of the arrays to read if they exist; None reads all.

    Raises:
        DataError: the file is damaged, not an .npz file, or contains arrays of objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file if names is None or name in names}
    except Exception as error:  # a damaged archive raises errors of many kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path}: not a whole .npz of arrays ({reason}); fetch or export it again") from error


def write_sound(path: Path, wav: Tensor) -> None:
    """Write (T,) mono at 16 kHz as 16-bit .wav or .flac, as the suffix of ``path`` says; atomic."""
    import soundfile

    # soundfile refuses file names that are not UTF-8, but accepts open files.
    with atomic_path(path) as draft, draft.open("wb") as file:
        soundfile.write(file, wav.numpy(), SAMPLE_RATE, subtype="PCM_16", format=path.suffix[1:].upper())

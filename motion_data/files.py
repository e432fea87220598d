"""Files read whole or refused by name, and sound written whole or not at all."""

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
    """The files of a folder and its subfolders by suffix, in any case; hidden ones are passed over."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not is_hidden(path) and path.is_file()
    )


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: no such file, or it cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def file_sha256(path: str | Path) -> str:
    """Hash of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_npz(path: str | Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz; nothing pickled is loaded.

    Args:
        path: the file.
        names: of the arrays to read, where it has them; None reads all.

    Raises:
        DataError: damaged, no .npz, or arrays of objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file if names is None or name in names}
    except Exception as error:  # a damaged archive raises errors of many kinds
        fault = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path}: not a whole .npz of arrays ({fault}); fetch or export it again") from error


def write_sound(path: Path, wav: Tensor) -> None:
    """Write (T,) mono at 16 kHz as 16-bit .wav or .flac, by the suffix of ``path``."""
    import soundfile

    # An open file, because soundfile takes no names that are not UTF-8.
    with atomic_path(path) as draft, draft.open("wb") as file:
        soundfile.write(file, wav.numpy(), SAMPLE_RATE, subtype="PCM_16", format=path.suffix[1:].upper())

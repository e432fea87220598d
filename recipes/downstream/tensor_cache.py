"""A cache of tensors on disk. The key of an entry is a hash of everything that its tensors depend on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.checkpoint import tensors_sha256


def cache_path(folder: Path, key: str) -> Path:
    """Path of an entry."""
    return folder / key[:2] / f"{key}.safetensors"


def read_cached(folder: Path, key: str) -> dict[str, Tensor] | None:
    """The tensors of an entry by name; None if there is none or it is damaged.

    Prints a line about a damaged file or one of another entry.
    """
    path = cache_path(folder, key)
    try:
        with safe_open(path, framework="pt") as entry:
            metadata = entry.metadata() or {}
            tensors = {name: entry.get_tensor(name) for name in entry.keys()}  # noqa: SIM118
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
    else:
        if metadata.get("key") == key and metadata.get("sha256") == tensors_sha256(tensors):
            return tensors
        reason = "its content does not match its key or checksum"
    print(f"{path}: damaged ({reason}); its features are computed again", file=sys.stderr)
    return None


def write_cached(folder: Path, key: str, tensors: Mapping[str, Tensor]) -> int:
    """Write an entry atomically, also if several processes write it at once; returns its size in bytes.

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = save(tensors, metadata={"key": key, "sha256": tensors_sha256(tensors)})
    with atomic_path(cache_path(folder, key)) as draft:
        draft.write_bytes(content)
    return len(content)

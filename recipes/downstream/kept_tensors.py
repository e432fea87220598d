"""Tensors kept in a file under the hash of all that they depend on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.checkpoint import tensors_sha256


def kept_file(folder: Path, key: str) -> Path:
    """The file of an entry in a folder of many."""
    return folder / key[:2] / f"{key}.safetensors"


def read_kept(folder: Path, key: str) -> dict[str, Tensor] | None:
    """The tensors of an entry by name, or None where there is none that is whole.

    A file that is damaged, or is another entry's, is told in one line.
    """
    file = kept_file(folder, key)
    try:
        with safe_open(file, framework="pt") as entry:
            metadata = entry.metadata() or {}
            tensors = {name: entry.get_tensor(name) for name in entry.keys()}  # noqa: SIM118
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
    else:
        if metadata.get("key") == key and metadata.get("sha256") == tensors_sha256(tensors):
            return tensors
        reason = "its content is not what was written under this name"
    print(f"{file}: damaged ({reason}); its features are computed again", file=sys.stderr)
    return None


def write_kept(folder: Path, key: str, tensors: Mapping[str, Tensor]) -> int:
    """Write an entry, whole or not at all; returns its size in bytes.

    Of two processes that write one entry at a time, the last one's is kept, and either is whole.

    Raises:
        OSError: it cannot be written.
    """
    own = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = save(own, metadata={"key": key, "sha256": tensors_sha256(own)})
    with atomic_path(kept_file(folder, key)) as draft:
        draft.write_bytes(content)
    return len(content)

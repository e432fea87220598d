"""Which weights of an upstream a dance model has learned to hear by: their SHA-256, in every checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from motion_data.preparation import file_sha256
from motionbeat_upstream import hubconf

BYTES = 32
"""Of a SHA-256."""


def weights_digest(upstream: str, given: str | None) -> Tensor:
    """(32,) uint8, the SHA-256 of the file of an upstream's weights; zeros where it has none here.

    Args:
        upstream: its name in S3PRL's hub.
        given: ``-k`` of ``run_downstream.py``.
    """
    file = hubconf.SHIPPED if given is None and upstream == "motionbeat" else Path(given or "")
    digest = bytes.fromhex(file_sha256(file)) if file.is_file() else bytes(BYTES)
    return torch.tensor(list(digest), dtype=torch.uint8)


def as_hex(digest: Tensor) -> str | None:
    """What :func:`weights_digest` gave, as it is written; None for zeros."""
    return bytes(digest.tolist()).hex() if digest.any() else None

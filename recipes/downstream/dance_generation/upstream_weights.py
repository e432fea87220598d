"""Which weights of an upstream a dance model has learned to hear by: their SHA-256, in every checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from motion_data.preparation import file_sha256
from recipes.downstream.s3prl_runner.registration import weights_file

BYTES = 32
"""Of a SHA-256."""


def weights_digest(upstream: str, given: str | None) -> Tensor:
    """(32,) uint8, the SHA-256 of the file of an upstream's weights; zeros where it has none here.

    Args:
        upstream: its name in S3PRL's hub.
        given: ``-k`` of ``run_downstream.py``.
    """
    file = weights_file(upstream, None if given is None else Path(given))
    if file is None or not file.is_file():
        return torch.zeros(BYTES, dtype=torch.uint8)
    digest = bytes.fromhex(file_sha256(file))
    return torch.tensor(list(digest), dtype=torch.uint8)


def as_hex(digest: Tensor) -> str | None:
    """What :func:`weights_digest` gave, as it is written; None for zeros."""
    return bytes(digest.tolist()).hex() if digest.any() else None

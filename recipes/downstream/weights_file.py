"""The weights of an upstream, as ``-u`` and ``-k`` name them: where they are, and their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from motion_data.preparation import file_sha256
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_V1

IN_THE_PACKAGE = {"motionbeat": SHIPPED, "motionbeat_v1": SHIPPED_V1}


def weights_file(upstream: str, given: Path | None) -> Path | None:
    """The file or folder that is given; otherwise the weights in the package, if the upstream has some.

    Args:
        upstream: its name in S3PRL's hub.
        given: ``-k`` of ``run_downstream.py``.
    """
    return IN_THE_PACKAGE.get(upstream) if given is None else given


def weights_sha256(upstream: str, given: Path | None) -> str:
    """SHA-256 of an upstream's weights: of the file; of a folder, of the names and sizes of what is in it.

    Args:
        upstream: its name in S3PRL's hub.
        given: ``-k`` of ``run_downstream.py``.

    Returns:
        Empty where there are no weights on this machine: an upstream without any, or an address.
    """
    weights = weights_file(upstream, given)
    if weights is None or not weights.exists():
        return ""
    if weights.is_file():
        return file_sha256(weights)
    listed = sorted((path.name, path.stat().st_size) for path in weights.iterdir() if path.is_file())
    return hashlib.sha256(repr(listed).encode()).hexdigest()

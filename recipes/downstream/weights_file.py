"""Where the weights of an upstream are, as ``-u`` and ``-k`` name them."""

from __future__ import annotations

from pathlib import Path

from motionbeat_upstream.shipped import SHIPPED


def weights_file(upstream: str, given: Path | None) -> Path | None:
    """The file or folder that is given, of ``motionbeat`` without one the weights that ship; else None.

    Args:
        upstream: its name in S3PRL's hub.
        given: ``-k`` of ``run_downstream.py``.
    """
    return SHIPPED if given is None and upstream == "motionbeat" else given

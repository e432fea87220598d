"""Where the weights of an upstream are, as ``-u`` and ``-k`` name them."""

from __future__ import annotations

from pathlib import Path

from motionbeat_upstream.shipped import SHIPPED, SHIPPED_V1

IN_THE_PACKAGE = {"motionbeat": SHIPPED, "motionbeat_v1": SHIPPED_V1}


def weights_file(upstream: str, given: Path | None) -> Path | None:
    """The file or folder that is given; otherwise the weights in the package, if the upstream has some.

    Args:
        upstream: its name in S3PRL's hub.
        given: ``-k`` of ``run_downstream.py``.
    """
    return IN_THE_PACKAGE.get(upstream) if given is None else given

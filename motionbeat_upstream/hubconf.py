"""The entries that torch.hub and S3PRL's hub list.

Every entry takes what S3PRL passes (``ckpt``, ``model_config``, ``refresh``) and ignores the rest.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import torch

from motionbeat_upstream.checkpoint import CheckpointError, Provenance, load_music_tower, read_music_config
from motionbeat_upstream.config import MusicTowerConfig, architecture
from motionbeat_upstream.expert import LogMelExpert, UpstreamExpert
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_V1

__all__ = [
    "motionbeat",
    "motionbeat_base",
    "motionbeat_local",
    "motionbeat_log_mel",
    "motionbeat_untrained",
    "motionbeat_url",
    "motionbeat_v1",
]

dependencies = ["torch", "numpy", "av", "soxr", "safetensors"]


def motionbeat(ckpt: str | Path | None = None, refresh: bool = False, **kwargs: object) -> UpstreamExpert:
    """The trained model that ships, a ``tiny``; with ``ckpt`` a checkpoint's path or URL instead."""
    if ckpt is None:
        return motionbeat_local(ckpt=SHIPPED)
    if urlparse(str(ckpt)).scheme in ("http", "https"):
        return motionbeat_url(ckpt=str(ckpt), refresh=refresh)
    return motionbeat_local(ckpt=ckpt)


def motionbeat_v1(**kwargs: object) -> UpstreamExpert:
    """The trained model of the first release: a trunk of depthwise convolutions, no beat heads."""
    return motionbeat_local(ckpt=SHIPPED_V1)


def motionbeat_untrained(**kwargs: object) -> UpstreamExpert:
    """The tower that ships at a fixed random initialisation: what training adds is the margin over it."""
    shipped = read_music_config(SHIPPED)
    return _untrained(replace(shipped, grid_from="onsets", grid_trust=MusicTowerConfig.grid_trust))


def motionbeat_log_mel(**kwargs: object) -> LogMelExpert:
    """The tower's front end alone: log-mel at 50 Hz."""
    return LogMelExpert().eval()


def motionbeat_base(**kwargs: object) -> UpstreamExpert:
    """The architecture ``base``, which nobody has trained: a fixed random initialisation, to train from."""
    return _untrained(architecture("base"))


def motionbeat_local(ckpt: str | Path | None = None, **kwargs: object) -> UpstreamExpert:
    """A checkpoint from a file (S3PRL's ``-k``)."""
    if ckpt is None:
        raise CheckpointError("motionbeat_local: expected a checkpoint's path (ckpt=…, or -k), got none")
    return UpstreamExpert(*load_music_tower(ckpt)).eval()


def motionbeat_url(ckpt: str | None = None, refresh: bool = False, **kwargs: object) -> UpstreamExpert:
    """A checkpoint from a URL, kept in torch.hub's folder; ``refresh`` fetches it again."""
    if ckpt is None:
        raise CheckpointError("motionbeat_url: expected a checkpoint's address (ckpt=…, or -k), got none")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    # The address goes into the name, so that two files of one name do not pass for each other.
    target = folder / f"{hashlib.sha256(ckpt.encode()).hexdigest()[:12]}-{Path(urlparse(ckpt).path).name}"
    if refresh or not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(ckpt, str(target))
        except OSError as error:
            raise CheckpointError(
                f"{ckpt}: could not be fetched ({error}); fetch it by hand and use its path"
            ) from error
    return motionbeat_local(ckpt=target)


def _untrained(config: MusicTowerConfig) -> UpstreamExpert:
    tower = untrained_music_tower(config)
    return UpstreamExpert(tower, Provenance("none", {"seed": 0})).eval()

"""Entries for torch.hub and S3PRL's hub.

All entries accept the arguments that S3PRL passes (``ckpt``, ``model_config``, ``refresh``) and ignore
others.
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
    """The shipped model, of the architecture ``tiny``; with ``ckpt`` that of a checkpoint's path or URL."""
    if ckpt is None:
        return motionbeat_local(ckpt=SHIPPED)
    if urlparse(str(ckpt)).scheme in ("http", "https"):
        return motionbeat_url(ckpt=str(ckpt), refresh=refresh)
    return motionbeat_local(ckpt=ckpt)


def motionbeat_v1(**kwargs: object) -> UpstreamExpert:
    """The first trained model, with a trunk of depthwise convolutions and without beat heads."""
    return motionbeat_local(ckpt=SHIPPED_V1)


def motionbeat_untrained(**kwargs: object) -> UpstreamExpert:
    """The architecture of the shipped model at a fixed random initialisation, as a baseline for its
    training."""
    shipped = read_music_config(SHIPPED)
    return _untrained(replace(shipped, grid_from="onsets", grid_trust=MusicTowerConfig.grid_trust))


def motionbeat_log_mel(**kwargs: object) -> LogMelExpert:
    """The front end of the tower: log-mel at 50 Hz."""
    return LogMelExpert().eval()


def motionbeat_base(**kwargs: object) -> UpstreamExpert:
    """The architecture ``base`` at a fixed random initialisation; there are no trained weights."""
    return _untrained(architecture("base"))


def motionbeat_local(ckpt: str | Path | None = None, **kwargs: object) -> UpstreamExpert:
    """The model of a checkpoint file (S3PRL's ``-k``)."""
    if ckpt is None:
        raise CheckpointError("motionbeat_local: no checkpoint; give its path as ckpt=… or -k")
    return UpstreamExpert(*load_music_tower(ckpt)).eval()


def motionbeat_url(ckpt: str | None = None, refresh: bool = False, **kwargs: object) -> UpstreamExpert:
    """The model of a checkpoint's URL, cached in torch.hub's folder; ``refresh`` downloads it again."""
    if ckpt is None:
        raise CheckpointError("motionbeat_url: no checkpoint; give its URL as ckpt=… or -k")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    # The hash of the URL distinguishes files of one name.
    target = folder / f"{hashlib.sha256(ckpt.encode()).hexdigest()[:12]}-{Path(urlparse(ckpt).path).name}"
    if refresh or not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(ckpt, str(target))
        except OSError as error:
            raise CheckpointError(
                f"{ckpt}: cannot be downloaded ({error}); download it manually and use its path"
            ) from error
    return motionbeat_local(ckpt=target)


def _untrained(config: MusicTowerConfig) -> UpstreamExpert:
    tower = untrained_music_tower(config)
    return UpstreamExpert(tower, Provenance("none", {"seed": 0})).eval()

"""Other people's encoders as upstreams, from folders that the user has downloaded; nothing is fetched.

One needs no folder: the numbers of librosa that dances were generated from before there were encoders.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from recipes.encoders.waveform_upstream import WaveformUpstream

ENTRIES: Mapping[str, str] = {
    "edge_librosa": "recipes.encoders.edge_librosa",
    "hf_audio_local": "recipes.encoders.hf_audio",
    "mert_local": "recipes.encoders.hf_audio",
    "muq_local": "recipes.encoders.conformers",
    "musicfm_local": "recipes.encoders.conformers",
}
"""The module of each, by the name that S3PRL's hub calls it by."""


def entry(name: str) -> Callable[..., WaveformUpstream]:
    """What S3PRL's hub calls to make an upstream."""
    return cast("Callable[..., WaveformUpstream]", getattr(importlib.import_module(ENTRIES[name]), name))

"""Published encoders as upstreams, loaded from folders that the user has downloaded; nothing is fetched.

``edge_librosa`` needs no folder: it computes the librosa features that EDGE offers as a baseline.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recipes.encoders.waveform_upstream import WaveformUpstream

ENTRIES: Mapping[str, str] = {
    "edge_librosa": "recipes.encoders.edge_librosa",
    "hf_audio_local": "recipes.encoders.hf_audio",
    "mert_local": "recipes.encoders.hf_audio",
    "muq_local": "recipes.encoders.conformers",
    "musicfm_local": "recipes.encoders.conformers",
}
"""Modules of the upstreams, by their names in S3PRL's hub."""


def load_entry(name: str) -> Callable[..., WaveformUpstream]:
    """The function that S3PRL's hub calls to create an upstream."""
    entry: Callable[..., WaveformUpstream] = getattr(importlib.import_module(ENTRIES[name]), name)
    return entry

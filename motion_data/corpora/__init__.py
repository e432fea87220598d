"""Supported corpora, each with its layout, licence, reader and preparation.

A corpus is a module of this package with ``LAYOUT`` and ``LICENCE`` (texts for users),
``add_options(parser)`` for its options, and ``prepare(raw, out, options) -> Corpus``.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from motion_data.errors import DataError

if TYPE_CHECKING:
    from motion_data.manifest import Corpus

CORPORA = ("aistpp", "bvh", "constructed", "folder", "modules", "recordings", "stepmania", "video")


class CorpusModule(Protocol):
    """Interface of the modules of this package."""

    LAYOUT: str
    """Layout of RAW, and where to obtain it."""
    LICENCE: str
    """Terms of use."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the corpus."""

    def prepare(self, raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
        """Prepare the corpus; raises DataError if RAW does not have the layout."""


def corpus_module(name: str) -> CorpusModule:
    """Import the module of a corpus.

    Raises:
        DataError: a required library is not installed.
    """
    try:
        return cast(CorpusModule, importlib.import_module(f"motion_data.corpora.{name}"))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("motion_data", "motionbeat_upstream"):
            raise
        raise DataError(
            f"{name}: needs the Python module {error.name!r}, which is not installed; "
            f"in MotionBeat's folder: pip install '.[data]'"
        ) from error

"""The corpora that people have, each with a reader, its layout, its licence, and a preparation.

A corpus is a module of this package with ``LAYOUT`` and ``LICENCE`` (text for the user),
``add_options(parser)`` for what it needs beyond RAW and OUT, and ``prepare(raw, out, options) -> Corpus``.
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
    """What each module of this package offers."""

    LAYOUT: str
    """What RAW must look like, and where it is obtained."""
    LICENCE: str
    """What may be done with the corpus."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the corpus's own options."""

    def prepare(self, raw: Path, out: Path, options: argparse.Namespace) -> Corpus:
        """Prepare the corpus; raises DataError where RAW is not what LAYOUT says."""


def corpus_module(name: str) -> CorpusModule:
    """The module of a corpus, imported only now: some need libraries that others do not.

    Raises:
        DataError: a library that it needs is not installed.
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

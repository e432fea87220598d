"""Warnings about audio files on the command line: in one line, or errors with ``--strict``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from motionbeat_upstream.errors import AudioWarning, DamagedAudioWarning


def print_audio_warnings(program: str) -> None:
    """Print each :class:`~motionbeat_upstream.errors.AudioWarning` in one line; other warnings are
    unchanged."""
    original = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, AudioWarning):
            print(f"{program}: warning: {message}", file=sys.stderr)
        else:
            original(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def add_strict_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--strict``."""
    parser.add_argument(
        "--strict",
        action=_Strict,
        nargs=0,
        default=False,
        help="refuse damaged audio files; by default missing sound is replaced by silence, with a warning",
    )


class _Strict(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True)
        refuse_damaged()


def refuse_damaged() -> None:
    """Turn warnings about damaged audio files into errors, in this process."""
    warnings.filterwarnings("error", category=DamagedAudioWarning)

"""The commands that can process lists of files; models are loaded once for all files."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from motion_data.looking import SUFFIXES as VIDEO_SUFFIXES
from motion_data.writing import SUFFIXES as MOTION_SUFFIXES
from motionbeat_upstream.commands import beats, features
from motionbeat_upstream.commands.command import RaisingParser
from motionbeat_upstream.commands.many_files import OutputWriter
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.dance_generation import command as dance
from recipes.launch.files.outcomes import Status

OutputState = Literal["complete", "foreign", "missing"]
"""Outputs of a file: complete and made by the current command, made by something else, or not complete."""


class FileCommand(ABC):
    """A command of ``motionbeat`` with its options and the folder for its outputs.

    Raises:
        MotionBeatError: unknown options.
    """

    options: argparse.Namespace

    @abstractmethod
    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None: ...

    @abstractmethod
    def outputs(self, relative: Path) -> list[Path]:
        """Outputs of a file; of EDGE's slices only the first."""

    @abstractmethod
    def load(self) -> tuple[OutputWriter, str]:
        """Load the model; return a function that processes a file, and the identification of its outputs.

        Raises:
            MotionBeatError: invalid options, or an invalid model.
        """

    def output_state(self, relative: Path, made_by: str, status: Status | None) -> OutputState:
        """State of the outputs of a file.

        Args:
            relative: path of the outputs.
            made_by: identification of the current command.
            status: last recorded status of the file under this command, if any.
        """
        exist = [output.exists() for output in self.outputs(relative)]
        if any(exist) and status is None:
            return "foreign"
        return "complete" if all(exist) and status == "done" else "missing"

    def check_distinct_outputs(self, files: Sequence[tuple[str, str]]) -> None:
        """Raise MotionBeatError if two files have the same output."""
        owners: dict[Path, str] = {}
        for file, relative in files:
            output = self.outputs(Path(relative))[0]
            if output in owners:
                raise MotionBeatError(
                    f"{owners[output]} and {file} would both be written to {output}; give a parent folder "
                    f"of all files as --root, whose structure the outputs keep"
                )
            owners[output] = file


class Features(FileCommand):
    """``motionbeat features``."""

    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None:
        features.add_options(parser)
        self.options = parser.parse_args(options)
        self.out, self.form = out, features.output_format(self.options, out)

    def outputs(self, relative: Path) -> list[Path]:
        """See :class:`FileCommand`."""
        return [self.form.target(relative)]

    def output_state(self, relative: Path, made_by: str, status: Status | None) -> OutputState:
        """See :class:`FileCommand`."""
        # The outputs contain their identification.
        stored = self.form.made_by(relative)
        if stored is None:
            return "missing"
        return "complete" if stored == made_by else "foreign"

    def load(self) -> tuple[OutputWriter, str]:
        """See :class:`FileCommand`."""
        return features.load_writer(self.options, self.out)

    def check_distinct_outputs(self, files: Sequence[tuple[str, str]]) -> None:
        """See :class:`FileCommand`."""
        if self.options.format == "edge":
            from motionbeat_upstream.commands.feature_files import check_unique_stems

            check_unique_stems(Path(file) for file, _ in files)
        else:
            super().check_distinct_outputs(files)


class Beats(FileCommand):
    """``motionbeat beats``."""

    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None:
        beats.add_options(parser)
        self.options = parser.parse_args(options)
        self.out, self.files = out, beats.beats_files(self.options, out)

    def outputs(self, relative: Path) -> list[Path]:
        """See :class:`FileCommand`."""
        return [self.files.target(relative)]

    def output_state(self, relative: Path, made_by: str, status: Status | None) -> OutputState:
        """See :class:`FileCommand`."""
        if status is None and self.files.made_by(relative) == made_by:
            return "complete"
        return super().output_state(relative, made_by, status)

    def load(self) -> tuple[OutputWriter, str]:
        """See :class:`FileCommand`."""
        return beats.load_writer(self.options, self.out)


class Dance(FileCommand):
    """``motionbeat dance``."""

    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None:
        dance.add_options(parser)
        parser.add_argument("--suffix", action="append", choices=(*VIDEO_SUFFIXES, *MOTION_SUFFIXES, ".npz"))
        self.options = parser.parse_args(options)
        self.out = out

    def outputs(self, relative: Path) -> list[Path]:
        """See :class:`FileCommand`."""
        suffixes = dict.fromkeys(self.options.suffix or [".npz"])
        return [self.out / f"{relative}{suffix}" for suffix in suffixes]

    def load(self) -> tuple[OutputWriter, str]:
        """See :class:`FileCommand`."""
        load_pair, made_by = dance.load_dancer(self.options)

        def process(path: Path, relative: Path) -> None:
            dance_motion = load_pair(path)
            for output in self.outputs(relative):
                dance.write_dance(output, dance_motion)

        return process, made_by


COMMANDS: dict[str, type[FileCommand]] = {"features": Features, "beats": Beats, "dance": Dance}


def file_command(name: str, options: Sequence[str], out: Path) -> FileCommand:
    """Create a command by its name; raise MotionBeatError for unknown options."""
    return COMMANDS[name](RaisingParser(f"motionbeat {name}"), options, out)

"""What each command makes of a file; models are loaded once for all files."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from motion_data.looking import SUFFIXES as DRAWN
from motion_data.writing import SUFFIXES as MOTIONS
from motionbeat_upstream.commands import beats, features
from motionbeat_upstream.commands.command import Parser
from motionbeat_upstream.commands.many_files import Make
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.dance_generation import command as dance
from recipes.launch.files.outcomes import Status

Found = Literal["whole", "foreign", "lacking"]


class FileCommand(ABC):
    """A command of ``motionbeat`` with its options and the folder that its outputs go into.

    Raises:
        MotionBeatError: options that it does not have.
    """

    options: argparse.Namespace

    @abstractmethod
    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None: ...

    @abstractmethod
    def outputs(self, relative: Path) -> list[Path]:
        """What is written for a file; of EDGE's slices the first."""

    @abstractmethod
    def load(self) -> tuple[Make, str]:
        """What makes outputs, and what says that they are made by it.

        Raises:
            MotionBeatError: options that are not allowed, or a model that cannot be used.
        """

    def found(self, relative: Path, made_by: str, told: Status | None) -> Found:
        """What there is of a file's outputs: all, made by ``made_by``; something else's; or not all.

        Args:
            relative: path of the outputs.
            made_by: what they are to be made by.
            told: what was told last of making them by it, if anything.
        """
        there = [output.exists() for output in self.outputs(relative)]
        if any(there) and told is None:
            return "foreign"
        return "whole" if all(there) and told == "done" else "lacking"

    def refuse_one_output(self, files: Sequence[tuple[str, str]]) -> None:
        """Check that no two files would be written to the same outputs.

        Raises:
            MotionBeatError: two would.
        """
        taken: dict[Path, str] = {}
        for file, relative in files:
            output = self.outputs(Path(relative))[0]
            if output in taken:
                raise MotionBeatError(
                    f"{taken[output]} and {file} would both be written to {output}; give a folder above all "
                    f"files as --root, so that outputs lie as they do"
                )
            taken[output] = file


class Features(FileCommand):
    """``motionbeat features``."""

    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None:
        features.add_options(parser)
        self.options = parser.parse_args(options)
        self.out, self.form = out, features.output_format(self.options, out)

    def outputs(self, relative: Path) -> list[Path]:
        """See :class:`FileCommand`."""
        return [self.form.target(relative)]

    def found(self, relative: Path, made_by: str, told: Status | None) -> Found:
        """See :class:`FileCommand`."""
        # They say it themselves, whoever made them.
        stored = self.form.made_by(relative)
        return "lacking" if stored is None else "whole" if stored == made_by else "foreign"

    def load(self) -> tuple[Make, str]:
        """See :class:`FileCommand`."""
        return features.load_maker(self.options, self.out)

    def refuse_one_output(self, files: Sequence[tuple[str, str]]) -> None:
        """See :class:`FileCommand`."""
        if self.options.format == "edge":
            from motionbeat_upstream.commands.feature_files import refuse_one_name

            refuse_one_name(Path(file) for file, _ in files)
        else:
            super().refuse_one_output(files)


class Beats(FileCommand):
    """``motionbeat beats``."""

    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None:
        beats.add_options(parser)
        self.options = parser.parse_args(options)
        self.out, self.files = out, beats.beats_files(self.options, out)

    def outputs(self, relative: Path) -> list[Path]:
        """See :class:`FileCommand`."""
        return [self.files.target(relative)]

    def found(self, relative: Path, made_by: str, told: Status | None) -> Found:
        """See :class:`FileCommand`."""
        if told is None and self.files.made_by(relative) == made_by:
            return "whole"
        return super().found(relative, made_by, told)

    def load(self) -> tuple[Make, str]:
        """See :class:`FileCommand`."""
        return beats.load_maker(self.options, self.out)


class Dance(FileCommand):
    """``motionbeat dance``."""

    def __init__(self, parser: argparse.ArgumentParser, options: Sequence[str], out: Path) -> None:
        dance.add_options(parser)
        parser.add_argument("--suffix", action="append", choices=(*DRAWN, *MOTIONS, ".npz"))
        self.options = parser.parse_args(options)
        self.out = out

    def outputs(self, relative: Path) -> list[Path]:
        """See :class:`FileCommand`."""
        suffixes = dict.fromkeys(self.options.suffix or [".npz"])
        return [self.out / f"{relative}{suffix}" for suffix in suffixes]

    def load(self) -> tuple[Make, str]:
        """See :class:`FileCommand`."""
        load_pair, made_by = dance.load_dancer(self.options)

        def make(path: Path, relative: Path) -> None:
            danced = load_pair(path)
            for output in self.outputs(relative):
                dance.write_dance(output, danced)

        return make, made_by


COMMANDS: dict[str, type[FileCommand]] = {"features": Features, "beats": Beats, "dance": Dance}


def file_command(name: str, options: Sequence[str], out: Path) -> FileCommand:
    """The command of that name; raises MotionBeatError for options that it does not have."""
    return COMMANDS[name](Parser(f"motionbeat {name}"), options, out)

"""Types for argparse that check files and folders of the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path


def input_file(text: str) -> Path:
    """Path of a file to read.

    Raises:
        argparse.ArgumentTypeError: the file does not exist.
    """
    path = Path(text)
    if not path.is_file():
        problem = "is a folder, expected a file" if path.is_dir() else "no such file"
        raise argparse.ArgumentTypeError(f"{path}: {problem}")
    return path


def audio_file(text: str) -> Path:
    """Path of an audio file to read.

    Raises:
        argparse.ArgumentTypeError: the file does not exist, or is a folder.
    """
    if Path(text).is_dir():
        raise argparse.ArgumentTypeError(
            f"{text}: is a folder, expected one audio file; for all files of a folder, "
            f"`motionbeat features {text} -o DIR` stores beats and features"
        )
    return input_file(text)


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """Return the type of a file to write with one of ``suffixes``, in a writable folder."""

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(
                f"{path}: unknown format; expected a name that ends in {', '.join(suffixes)}"
            )
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{path}: is a folder, expected the name of a file")
        folder = next(parent for parent in path.parents if parent.exists())
        if not folder.is_dir():
            raise argparse.ArgumentTypeError(
                f"{path}: {folder} is a file, expected a folder; give another name"
            )
        if not os.access(folder, os.W_OK):
            raise argparse.ArgumentTypeError(f"{path}: {folder} cannot be written into; give another name")
        return path

    return parse


def output_folder(text: str) -> Path:
    """Path of a folder to write into, which need not exist.

    Raises:
        argparse.ArgumentTypeError: the path is a file.
    """
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: is a file, expected a folder")
    return path


def refuse_inputs(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Check that no output would replace an input, and that no two outputs are the same file.

    Raises:
        FileExistsError: an output is an input or another output.
    """
    uses = {path.resolve(): "is an input" for path in inputs if path is not None}
    for output in outputs:
        if output is None:
            continue
        reason = uses.setdefault(output.resolve(), "")
        if reason:
            raise FileExistsError(f"{output}: {reason}, and would be overwritten; give another name")
        uses[output.resolve()] = "is another output"


def refuse_to_replace(outputs: Iterable[Path | None], overwrite: bool) -> None:
    """Check that no output exists, unless ``overwrite`` is true.

    Raises:
        FileExistsError: an output exists, and ``overwrite`` is false.
    """
    for output in outputs:
        if output is not None and output.exists() and not overwrite:
            raise FileExistsError(f"{output}: exists; give another name, or --overwrite to replace it")

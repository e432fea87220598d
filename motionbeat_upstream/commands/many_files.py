"""A command's outputs of many files: those that are not there yet, made by one process or by several."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from motionbeat_upstream.atomic_write import is_hidden, is_unwritable_disk
from motionbeat_upstream.commands.audio_warnings import refuse_damaged
from motionbeat_upstream.errors import AudioError, ConfigError, MotionBeatError
from motionbeat_upstream.processes import process_pool, use_one_thread
from motionbeat_upstream.threads import idle_cores

OutputWriter = Callable[[Path, Path], None]
"""Makes the outputs of a file, given it and their relative path; raises AudioError where it cannot."""

Load = Callable[[], tuple[OutputWriter, str]]
"""Loads a model; gives what makes outputs, and what says that they are made by it."""

MOST_PROCESSES = 8
"""That are started unasked; each needs about a gigabyte for files of ten minutes."""

FILES_A_PROCESS = 16
"""Fewer are made sooner than another process has loaded the model."""


class Outputs(Protocol):
    """The files that a command writes into a folder."""

    def target(self, relative: Path) -> Path:
        """What is written for an input, or the first of it."""

    def made_by(self, relative: Path) -> str | None:
        """What made it: empty for another program, None where there is nothing whole."""


def add_many_files_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite`` and ``--jobs``."""
    parser.add_argument("--overwrite", action="store_true", help="make anew what is there already")
    parser.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        help=f"processes of one thread that share the files; default: one for each idle core, at most "
        f"{MOST_PROCESSES} and one for {FILES_A_PROCESS} files; 1 where OMP_NUM_THREADS or --device is given",
    )


def find_audio(inputs: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The audio files of files and folders, each with the relative path of its output.

    A file that is not there is kept among others, to be reported when its turn comes.

    Raises:
        FileNotFoundError: not one of them is there.
        AudioError: a folder without audio, or two inputs whose outputs would have one name.
    """
    from motionbeat_upstream.decoding import AUDIO_SUFFIXES

    if not any(path.exists() for path in inputs):
        raise FileNotFoundError(f"{inputs[0]}: no such file")
    found: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir():
            inside = sorted(
                path
                for path in given.rglob("*")
                if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not is_hidden(path)
            )
            if not inside:
                raise AudioError(
                    f"{given}: no audio in this folder; looked for {' '.join(sorted(AUDIO_SUFFIXES))}"
                )
            pairs = [(path, path.relative_to(given)) for path in inside]
        else:
            pairs = [(given, Path(given.name))]
        for path, relative in pairs:
            if found.setdefault(relative, path).resolve() != path.resolve():
                raise AudioError(
                    f"{path} and {found[relative]} would both be written to outputs of {relative}; "
                    f"give their common folder instead, or run them into two output folders"
                )
    return [(path, relative) for relative, path in found.items()]


def make_outputs(
    command: str,
    audio: Sequence[tuple[Path, Path]],
    outputs: Outputs,
    load: Load,
    options: argparse.Namespace,
) -> int:
    """Make what is lacking, and tell in the order of the files what could not be made.

    Args:
        command: its name, for the progress bar.
        audio: as :func:`find_audio` gives it.
        outputs: where they lie.
        load: called once in each process; pickled.
        options: those of :func:`add_many_files_options` and of the model.

    Returns:
        The exit code: 0 when every file is done, 1 when some could not be.

    Raises:
        ConfigError: outputs are there that something else made, and are not to be replaced.
        OSError: nothing more can be written.
        MotionBeatError: from loading the model.
    """
    from tqdm import tqdm

    found = {relative: None if options.overwrite else outputs.made_by(relative) for _, relative in audio}
    lacking = sum(by is None for by in found.values())
    jobs = min(options.jobs or _idle_processes(options, lacking), max(1, lacking))
    failed: list[str] = []
    done = skipped = 0
    # A forked process would inherit torch's threads, and hang.
    initargs = load, options.strict, jobs > 1
    with process_pool(jobs, method="spawn", initializer=_load, initargs=initargs) as parallel_map:
        # An item for each process, so that all load their models at once.
        made_by, notes = next(parallel_map(_loaded_by, range(jobs)))
        print(notes, end="", file=sys.stderr)
        others = [relative for relative, by in found.items() if by not in (None, made_by)]
        if others:
            raise ConfigError(
                f"{outputs.target(others[0])}: was made by another model, version or program, or with other "
                f"options ({len(others)} of {len(audio)} outputs were); give another -o, or --overwrite to "
                f"replace them"
            )
        results = parallel_map(_make, [pair for pair in audio if found[pair[1]] != made_by])
        for path, relative in tqdm(audio, unit="file", desc=command, disable=None):
            if found[relative] == made_by:
                skipped += 1
                continue
            error, warned = next(results)
            for warning in warned:
                warnings.showwarning(*warning)
            if error is None:
                done += 1
            elif isinstance(error, AudioError):
                failed.append(str(error))
            elif is_unwritable_disk(error) or error.errno == errno.EACCES:
                # The next file would fare no better.
                raise OSError(
                    error.errno,
                    f"{error.strerror} while writing {outputs.target(relative)}; {done} finished before it",
                ) from error
            elif error.errno == errno.ENAMETOOLONG:
                failed.append(f"{path}: the name of its output is too long for the file system; shorten it")
            else:
                failed.append(f"{path}: {error}")
    print(f"{done} extracted, {skipped} there already, {len(failed)} failed", file=sys.stderr)
    for message in failed:
        print(f"failed: {message}", file=sys.stderr)
    return 1 if failed else 0


def _idle_processes(options: argparse.Namespace, files: int) -> int:
    if options.device not in (None, "cpu") or "OMP_NUM_THREADS" in os.environ:
        return 1
    return max(1, min(idle_cores(), MOST_PROCESSES, files // FILES_A_PROCESS))


@dataclass
class _Loaded:
    """What this process has loaded: what makes outputs, by what, and what was said; or why it could not."""

    make: OutputWriter | None = None
    made_by: str = ""
    said: str = ""
    error: MotionBeatError | OSError | None = None


_loaded = _Loaded()

_Warned = tuple[Warning | str, type[Warning], str, int]


def _load(load: Load, strict: bool, own_process: bool) -> None:
    """Load the model; in a process of its own nothing is printed, since each would print the same."""
    global _loaded
    _loaded = _Loaded()
    if not own_process:
        _loaded.make, _loaded.made_by = load()
        return
    use_one_thread()
    if strict:
        refuse_damaged()
    with redirect_stderr(io.StringIO()) as said:
        try:
            _loaded.make, _loaded.made_by = load()
        except (MotionBeatError, OSError) as error:
            _loaded.error = error
    _loaded.said = said.getvalue()


def _loaded_by(process: int) -> tuple[str, str]:
    if _loaded.error is not None:
        raise _loaded.error
    return _loaded.made_by, _loaded.said


def _make(pair: tuple[Path, Path]) -> tuple[AudioError | OSError | None, list[_Warned]]:
    """Make the outputs of a file; returns why it could not be done, if so, and the warnings."""
    assert _loaded.make is not None
    error: AudioError | OSError | None = None
    with warnings.catch_warnings(record=True) as warned:
        try:
            _loaded.make(*pair)
        except (AudioError, OSError) as found:
            error = found
    return error, [(one.message, one.category, one.filename, one.lineno) for one in warned]


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return count

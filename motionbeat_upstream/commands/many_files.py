"""Outputs of a command for many files: missing ones are made by one or several processes."""

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
"""Makes the outputs of a file, for its path and their relative path; raises AudioError if the file cannot be
used."""

LoadWriter = Callable[[], tuple[OutputWriter, str]]
"""Loads a model, and returns the function that makes outputs and the text of ``made_by``."""

MAX_PROCESSES = 8
"""Maximum number of processes by default; each needs about a gigabyte for files of ten minutes."""

MIN_FILES_PER_PROCESS = 16
"""With fewer files, another process would take longer to load the model than it saves."""


class Outputs(Protocol):
    """The files that a command writes into a folder."""

    def target(self, relative: Path) -> Path:
        """Path of the (first) output of an input."""

    def made_by(self, relative: Path) -> str | None:
        """Text of ``made_by`` of the outputs: empty for another program, None if they are missing or
        incomplete."""


def add_many_files_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite`` and ``--jobs``."""
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    parser.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        help=f"processes of one thread that share the files; default: one per idle core, at most "
        f"{MAX_PROCESSES}, and one per {MIN_FILES_PER_PROCESS} files; 1 with OMP_NUM_THREADS or --device",
    )


def find_audio(inputs: Sequence[Path]) -> list[tuple[Path, Path]]:
    """List the audio files of files and folders, each with the relative path of its output.

    Missing files are included if there are others, and are reported when they are processed.

    Raises:
        FileNotFoundError: all inputs are missing.
        AudioError: a folder has no audio, or the outputs of two inputs would have the same name.
    """
    from motionbeat_upstream.decoding import AUDIO_SUFFIXES

    if not any(path.exists() for path in inputs):
        raise FileNotFoundError(f"{inputs[0]}: no such file")
    audio: dict[Path, Path] = {}
    for source in inputs:
        if source.is_dir():
            files = sorted(
                path
                for path in source.rglob("*")
                if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not is_hidden(path)
            )
            if not files:
                raise AudioError(
                    f"{source}: no audio in this folder; expected {' '.join(sorted(AUDIO_SUFFIXES))}"
                )
            pairs = [(path, path.relative_to(source)) for path in files]
        else:
            pairs = [(source, Path(source.name))]
        for path, relative in pairs:
            if audio.setdefault(relative, path).resolve() != path.resolve():
                raise AudioError(
                    f"{path} and {audio[relative]} would both be written to outputs of {relative}; "
                    f"give their common folder instead, or run them into two output folders"
                )
    return [(path, relative) for relative, path in audio.items()]


def make_outputs(
    command: str,
    audio: Sequence[tuple[Path, Path]],
    outputs: Outputs,
    load: LoadWriter,
    options: argparse.Namespace,
) -> int:
    """Make the missing outputs, and report failures in the order of the files.

    Args:
        command: name for the progress bar.
        audio: from :func:`find_audio`.
        outputs: paths and origins of the outputs.
        load: called once in each process; it is pickled.
        options: of :func:`add_many_files_options` and of the model.

    Returns:
        The exit code: 0 if all outputs exist, 1 if some failed.

    Raises:
        ConfigError: there are outputs of another origin, without ``--overwrite``.
        OSError: nothing can be written.
        MotionBeatError: the model cannot be loaded.
    """
    from tqdm import tqdm

    origins = {relative: None if options.overwrite else outputs.made_by(relative) for _, relative in audio}
    missing = sum(origin is None for origin in origins.values())
    jobs = min(options.jobs or _idle_processes(options, missing), max(1, missing))
    failed: list[str] = []
    done = skipped = 0
    # Forked processes would inherit torch's threads and hang.
    initargs = load, options.strict, jobs > 1
    with process_pool(jobs, method="spawn", initializer=_load, initargs=initargs) as parallel_map:
        # One item per process, so that all load their models at the same time.
        made_by, notes = next(parallel_map(_loaded_by, range(jobs)))
        print(notes, end="", file=sys.stderr)
        others = [relative for relative, origin in origins.items() if origin not in (None, made_by)]
        if others:
            raise ConfigError(
                f"{outputs.target(others[0])}: was made by another model, version or program, or with other "
                f"options ({len(others)} of {len(audio)} outputs were); give another -o, or --overwrite to "
                f"replace them"
            )
        results = parallel_map(_make, [pair for pair in audio if origins[pair[1]] != made_by])
        for path, relative in tqdm(audio, unit="file", desc=command, disable=None):
            if origins[relative] == made_by:
                skipped += 1
                continue
            error, messages = next(results)
            for warning in messages:
                warnings.showwarning(*warning)
            if error is None:
                done += 1
            elif isinstance(error, AudioError):
                failed.append(str(error))
            elif is_unwritable_disk(error) or error.errno == errno.EACCES:
                # Other files would fail, too.
                raise OSError(
                    error.errno,
                    f"{error.strerror} while writing {outputs.target(relative)}; {done} finished before it",
                ) from error
            elif error.errno == errno.ENAMETOOLONG:
                failed.append(f"{path}: the name of its output is too long for the file system; shorten it")
            else:
                failed.append(f"{path}: {error}")
    print(f"{done} extracted, {skipped} already present, {len(failed)} failed", file=sys.stderr)
    for message in failed:
        print(f"failed: {message}", file=sys.stderr)
    return 1 if failed else 0


def _idle_processes(options: argparse.Namespace, files: int) -> int:
    if options.device not in (None, "cpu") or "OMP_NUM_THREADS" in os.environ:
        return 1
    return max(1, min(idle_cores(), MAX_PROCESSES, files // MIN_FILES_PER_PROCESS))


@dataclass
class _Loaded:
    """The writer of this process with its ``made_by`` and the notes of its loading, or the error of the
    loading."""

    make: OutputWriter | None = None
    made_by: str = ""
    notes: str = ""
    error: MotionBeatError | OSError | None = None


_loaded = _Loaded()

_Warning = tuple[Warning | str, type[Warning], str, int]


def _load(load: LoadWriter, strict: bool, own_process: bool) -> None:
    """Load the model; a worker process prints nothing, since all would print the same."""
    global _loaded
    _loaded = _Loaded()
    if not own_process:
        _loaded.make, _loaded.made_by = load()
        return
    use_one_thread()
    if strict:
        refuse_damaged()
    with redirect_stderr(io.StringIO()) as notes:
        try:
            _loaded.make, _loaded.made_by = load()
        except (MotionBeatError, OSError) as error:
            _loaded.error = error
    _loaded.notes = notes.getvalue()


def _loaded_by(process: int) -> tuple[str, str]:
    if _loaded.error is not None:
        raise _loaded.error
    return _loaded.made_by, _loaded.notes


def _make(pair: tuple[Path, Path]) -> tuple[AudioError | OSError | None, list[_Warning]]:
    """Make the outputs of a file; returns the error, if any, and the warnings."""
    assert _loaded.make is not None
    error: AudioError | OSError | None = None
    with warnings.catch_warnings(record=True) as messages:
        try:
            _loaded.make(*pair)
        except (AudioError, OSError) as failure:
            error = failure
    return error, [(w.message, w.category, w.filename, w.lineno) for w in messages]


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return count

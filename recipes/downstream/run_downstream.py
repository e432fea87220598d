"""The command ``run_downstream.py``: S3PRL's own, with MotionBeat's tasks and upstream added.

    run_downstream.py -m train    -u motionbeat -d beat_tracking -p result/beats
    run_downstream.py -m evaluate -e result/beats/dev-best.ckpt

The options are S3PRL's, parsed by S3PRL's parser, and the run is S3PRL's. What is added: the tasks
of this folder, MotionBeat among the upstreams, a task's configuration found by itself, the CPU
where there is no CUDA, checkpoints that load under torch's ``weights_only`` and are never torn,
and mistakes told in one line. Nothing of it stays in the process that called :func:`main`.
"""

from __future__ import annotations

import argparse
import errno
import logging
import sys
import types
import urllib.error
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import yaml

from motion_data.errors import DataError
from motionbeat_upstream.commands.audio_warnings import print_audio_warnings
from motionbeat_upstream.config import ConfigError
from motionbeat_upstream.errors import AudioError, CheckpointError
from motionbeat_upstream.file_name import print_any_name
from recipes.downstream.checkpoints import safe_classes, whole_checkpoints
from recipes.downstream.earlier_run import files_of_run, holds_training, remove
from recipes.downstream.errors import TaskError
from recipes.downstream.options import parse
from recipes.downstream.process_state import replaced, restored
from recipes.downstream.registration import registered
from recipes.downstream.request import Request, check_machine, complete

MISTAKES = (TaskError, DataError, AudioError, CheckpointError, ConfigError, yaml.YAMLError)
"""Errors whose message is all that the user needs."""

NOTICES = (
    ".*torchaudio._backend.*deprecated",
    ".*from the 2.9 release",
    ".*load_with_torchcodec",
    ".*cuda.amp",
)
"""What every run would be told about S3PRL's age, and nobody can act on."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the options; the process's own by default.

    Returns:
        0 after a whole run, 2 after a mistake of the user's (one line on stderr), 130 after Ctrl-C.
        Any other error is a fault of the program and is raised.
    """
    print_any_name()
    try:
        request = complete(*parse(sys.argv[1:] if argv is None else argv))
        with restored(), _nothing_left_by_refusal(request):
            print_audio_warnings("run_downstream.py")
            return _run(request)
    except KeyboardInterrupt:
        print("\nrun_downstream.py: interrupted", file=sys.stderr)
        return 130
    except MISTAKES as error:
        message = _one_line(error)
    except OSError as error:
        if not _is_of_the_surroundings(error):
            raise
        message = _one_line(error)
    print(f"run_downstream.py: error: {message}", file=sys.stderr)
    return 2


def check(argv: Sequence[str]) -> None:
    """Refuse now what a run would refuse when it starts; nothing is written.

    Raises:
        ValueError, OSError: what is wrong with the options, in one line.
    """
    try:
        request = complete(*parse(argv))
        with restored(), registered():
            check_machine(request)
    except MISTAKES as error:
        raise ValueError(_one_line(error)) from error


def _run(request: Request) -> int:
    from motionbeat_upstream.threads import use_idle_cores

    for notice in NOTICES:
        warnings.filterwarnings("ignore", message=notice)
    use_idle_cores()
    try:
        with replaced(logging.getLogger("s3prl.upstream.espnet_hubert.expert"), "disabled", True):
            import s3prl.run_downstream as command
    except ModuleNotFoundError as error:
        raise TaskError(
            f"S3PRL or what it needs is not installed ({error}); run: pip install 'motionbeat[downstream]'"
        ) from error
    from recipes.downstream.checked_runner import CheckedRunner, Interrupted

    # S3PRL's module looks its parser up in argparse: it gets one whose work is done.
    parsing = types.SimpleNamespace(ArgumentParser=lambda: _Parsed(request.options))
    with ExitStack() as undo:
        undo.enter_context(registered())
        undo.enter_context(safe_classes())
        undo.enter_context(whole_checkpoints(request.replaced))
        undo.enter_context(replaced(command, "argparse", parsing))
        undo.enter_context(replaced(command, "Runner", CheckedRunner))
        check_machine(request)
        try:
            command.main()
        except Interrupted as interrupted:
            print(f"\nrun_downstream.py: interrupted; {interrupted}", file=sys.stderr)
            return 130
    return 0


class _Parsed:
    """Stands in for the parser that S3PRL makes: the options are parsed and checked already."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def add_argument(self, *_: object, **__: object) -> None:
        """Options are declared in :mod:`~recipes.downstream.options`."""

    def parse_args(self) -> argparse.Namespace:
        """The options."""
        return self._options


@contextmanager
def _nothing_left_by_refusal(request: Request) -> Iterator[None]:
    """Remove what a refused run wrote, unless it has come to a checkpoint."""
    missing = [folder for folder in (request.folder, *request.folder.parents) if not folder.exists()]
    before = files_of_run(request.folder)
    try:
        yield
    except (*MISTAKES, OSError):
        written = dict(files_of_run(request.folder).items() - before.items())
        if not holds_training(written):
            remove(written)
            for folder in missing:
                with suppress(OSError):  # it holds something else
                    folder.rmdir()
        raise


def _is_of_the_surroundings(error: OSError) -> bool:
    kinds = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
    return isinstance(error, (*kinds, urllib.error.URLError)) or error.errno in (errno.ENOSPC, errno.EDQUOT)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Caught "):
        # From a worker of torch's DataLoader, whose message is a whole traceback: keep its last line.
        return lines[-1].partition(": ")[2]
    return " ".join(lines) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())

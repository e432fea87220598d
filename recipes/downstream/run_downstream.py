"""``run_downstream.py``: S3PRL's command, with MotionBeat's tasks and upstream added.

    run_downstream.py -m train    -u motionbeat -d beat_tracking -p result/beats
    run_downstream.py -m evaluate -e result/beats/dev-best.ckpt

The options are S3PRL's, parsed by S3PRL's parser, and the run is S3PRL's. What is added: the tasks
of this folder, MotionBeat among the upstreams, a task's configuration found by itself, the CPU
where there is no CUDA, checkpoints that load under torch's ``weights_only`` and are never torn,
and mistakes told in one line. Nothing of it stays in the process that called :func:`main`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import yaml

from motionbeat_upstream.commands.command import command
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.s3prl_runner.options import parse
from recipes.downstream.s3prl_runner.patches import replaced, restored, whole_checkpoints
from recipes.downstream.s3prl_runner.registration import registered
from recipes.downstream.s3prl_runner.request import Request, check_machine, complete
from recipes.downstream.s3prl_runner.run_files import files_of_run, holds_training, remove, safe_classes

NOTICES = (
    ".*torchaudio._backend.*deprecated",
    ".*from the 2.9 release",
    ".*load_with_torchcodec",
    ".*cuda.amp",
)
"""What every run would be told about S3PRL's age, and nobody can act on."""


@command("run_downstream.py", label="error: ", extra="downstream")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 after a whole run."""
    request = complete(*parse(arguments))
    with restored(), _nothing_left_by_refusal(request):
        return _run(request)


def check(arguments: Sequence[str]) -> None:
    """Refuse now what a run would refuse when it starts; nothing is written.

    Raises:
        MotionBeatError, OSError: what is wrong with the options.
    """
    request = complete(*parse(arguments))
    with restored(), registered():
        check_machine(request)


def _run(request: Request) -> int:
    from motionbeat_upstream.threads import use_idle_cores

    for notice in NOTICES:
        warnings.filterwarnings("ignore", message=notice)
    use_idle_cores()
    with replaced(logging.getLogger("s3prl.upstream.espnet_hubert.expert"), "disabled", True):
        import s3prl.run_downstream as s3prl_command
    from recipes.downstream.s3prl_runner.checked_runner import CheckedRunner, Interrupted

    # S3PRL's module looks its parser up in argparse: it gets one whose work is done.
    parsing = types.SimpleNamespace(ArgumentParser=lambda: _Parsed(request.options))
    with ExitStack() as undo:
        undo.enter_context(registered())
        undo.enter_context(safe_classes())
        undo.enter_context(whole_checkpoints(request.replaced))
        undo.enter_context(replaced(s3prl_command, "argparse", parsing))
        undo.enter_context(replaced(s3prl_command, "Runner", CheckedRunner))
        check_machine(request)
        try:
            s3prl_command.main()
        except yaml.YAMLError as error:  # of an upstream's configuration (-g)
            raise MotionBeatError(str(error)) from error
        except Interrupted as interrupted:
            print(f"\nrun_downstream.py: interrupted; {interrupted}", file=sys.stderr)
            return 130
    return 0


class _Parsed:
    """Stands in for the parser that S3PRL makes: the options are parsed and checked already."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def add_argument(self, *_: object, **__: object) -> None:
        """Options are declared in :mod:`~recipes.downstream.s3prl_runner.options`."""

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
    except (MotionBeatError, OSError, ModuleNotFoundError):
        written = dict(files_of_run(request.folder).items() - before.items())
        if not holds_training(written):
            remove(written)
            for folder in missing:
                with suppress(OSError):  # it holds something else
                    folder.rmdir()
        raise


if __name__ == "__main__":
    sys.exit(main())

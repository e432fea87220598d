"""``run_downstream.py``: S3PRL's command, with MotionBeat's tasks and upstream added.

    run_downstream.py -m train    -u motionbeat -d beat_tracking -p result/beats
    run_downstream.py -m evaluate -e result/beats/dev-best.ckpt

The options and the run are S3PRL's. Added are the tasks of this folder, MotionBeat and other upstreams,
default configurations of tasks, the CPU as default without CUDA, atomic checkpoints that load with torch's
``weights_only``, a cache of frozen features, and error messages in one line; see
:mod:`~recipes.downstream.s3prl_runner`.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import SimpleNamespace

import yaml

from motionbeat_upstream.commands.command import command
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.s3prl_runner.options import FeatureCache, parse
from recipes.downstream.s3prl_runner.patches import atomic_checkpoints, patched, restored_process
from recipes.downstream.s3prl_runner.registration import registered
from recipes.downstream.s3prl_runner.request import Request, check_environment, complete_request
from recipes.downstream.s3prl_runner.run_files import (
    checkpoint_classes,
    has_checkpoint,
    list_run_files,
    remove,
)

NOTICES = (
    ".*torchaudio._backend.*deprecated",
    ".*from the 2.9 release",
    ".*load_with_torchcodec",
    ".*cuda.amp",
)
"""Warnings about S3PRL's code, which users cannot act on."""


@command("run_downstream.py", label="error: ", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 after a complete run."""
    options, overwrite, cache = parse(arguments)
    request = complete_request(options, overwrite)
    with restored_process(), _clean_up_after_error(request):
        return _run(request, cache)


def check(arguments: Sequence[str]) -> None:
    """Raise the errors that a run would raise at its start; nothing is written.

    Raises:
        MotionBeatError, OSError: the options are invalid.
    """
    options, overwrite, _ = parse(arguments)
    request = complete_request(options, overwrite)
    with restored_process(), registered():
        check_environment(request)


def _run(request: Request, cache: FeatureCache) -> int:
    from motionbeat_upstream.threads import use_idle_cores

    for notice in NOTICES:
        warnings.filterwarnings("ignore", message=notice)
    use_idle_cores()
    with patched(logging.getLogger("s3prl.upstream.espnet_hubert.expert"), "disabled", True):
        import s3prl.run_downstream as s3prl_command
    from recipes.downstream.s3prl_runner.checked_runner import CheckedRunner, Interrupted

    # S3PRL's command creates its parser with argparse; this one returns the parsed options.
    parser = SimpleNamespace(add_argument=lambda *_, **__: None, parse_args=lambda: request.options)
    with (
        registered(),
        checkpoint_classes(),
        atomic_checkpoints(request.replaced_files),
        patched(s3prl_command, "argparse", SimpleNamespace(ArgumentParser=lambda: parser)),
        patched(s3prl_command, "Runner", partial(CheckedRunner, cache=cache)),
    ):
        check_environment(request)
        try:
            s3prl_command.main()
        except yaml.YAMLError as error:  # in an upstream's configuration (-g)
            raise MotionBeatError(str(error)) from error
        except Interrupted as interrupted:
            print(f"\nrun_downstream.py: interrupted; {interrupted}", file=sys.stderr)
            return 130
    return 0


@contextmanager
def _clean_up_after_error(request: Request) -> Iterator[None]:
    """After an error remove the files of the run, unless it has written a checkpoint."""
    missing = [folder for folder in (request.folder, *request.folder.parents) if not folder.exists()]
    before = list_run_files(request.folder)
    try:
        yield
    except (MotionBeatError, OSError, ModuleNotFoundError):
        written = dict(list_run_files(request.folder).items() - before.items())
        if not has_checkpoint(written):
            remove(written)
            for folder in missing:
                with suppress(OSError):  # the folder is not empty
                    folder.rmdir()
        raise


if __name__ == "__main__":
    sys.exit(main())

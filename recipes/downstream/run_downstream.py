"""``run_downstream.py``: S3PRL's command, with MotionBeat's tasks and upstream added.

    run_downstream.py -m train    -u motionbeat -d beat_tracking -p result/beats
    run_downstream.py -m evaluate -e result/beats/dev-best.ckpt

The options and the run are S3PRL's. What is added: the tasks of this folder, MotionBeat among the upstreams,
a task's configuration found by itself, the CPU where there is no CUDA, checkpoints that load under torch's
``weights_only`` and are never torn, frozen features that are computed once, and mistakes told in one line;
see :mod:`~recipes.downstream.s3prl_runner`.
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


@command("run_downstream.py", label="error: ", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 after a whole run."""
    options, overwrite, cache = parse(arguments)
    request = complete(options, overwrite)
    with restored(), _nothing_left_by_refusal(request):
        return _run(request, cache)


def check(arguments: Sequence[str]) -> None:
    """Refuse now what a run would refuse when it starts; nothing is written.

    Raises:
        MotionBeatError, OSError: what is wrong with the options.
    """
    options, overwrite, _ = parse(arguments)
    request = complete(options, overwrite)
    with restored(), registered():
        check_machine(request)


def _run(request: Request, cache: FeatureCache) -> int:
    from motionbeat_upstream.threads import use_idle_cores

    for notice in NOTICES:
        warnings.filterwarnings("ignore", message=notice)
    use_idle_cores()
    with replaced(logging.getLogger("s3prl.upstream.espnet_hubert.expert"), "disabled", True):
        import s3prl.run_downstream as s3prl_command
    from recipes.downstream.s3prl_runner.checked_runner import CheckedRunner, Interrupted

    # S3PRL's module looks its parser up in argparse: it gets one whose work is done.
    parser = SimpleNamespace(add_argument=lambda *_, **__: None, parse_args=lambda: request.options)
    with (
        registered(),
        safe_classes(),
        whole_checkpoints(request.replaced),
        replaced(s3prl_command, "argparse", SimpleNamespace(ArgumentParser=lambda: parser)),
        replaced(s3prl_command, "Runner", partial(CheckedRunner, cache=cache)),
    ):
        check_machine(request)
        try:
            s3prl_command.main()
        except yaml.YAMLError as error:  # of an upstream's configuration (-g)
            raise MotionBeatError(str(error)) from error
        except Interrupted as interrupted:
            print(f"\nrun_downstream.py: interrupted; {interrupted}", file=sys.stderr)
            return 130
    return 0


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

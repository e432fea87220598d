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
import os
import sys
import types
import urllib.error
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import torch
import yaml

from motion_data.errors import DataError
from motionbeat_upstream.audio import AudioError
from motionbeat_upstream.checkpoint import CheckpointError
from motionbeat_upstream.config import ConfigError
from motionbeat_upstream.file_name import print_any_name
from motionbeat_upstream.threads import use_idle_cores
from recipes.downstream.checkpoints import safe_classes, whole_checkpoints
from recipes.downstream.errors import TaskError
from recipes.downstream.process_state import replaced, restored
from recipes.downstream.registration import own_tasks, registered
from recipes.downstream.request import complete

MISTAKES = (TaskError, DataError, AudioError, CheckpointError, ConfigError, yaml.YAMLError)
"""Errors whose message is all that the user needs."""

NOTICES = (
    ".*torchaudio._backend.*deprecated",
    ".*from the 2.9 release",
    ".*load_with_torchcodec",
    ".*cuda.amp",
)
"""What every run would be told about S3PRL's age, and nobody can act on."""

EPILOG = """\
added by MotionBeat to S3PRL's command:
  -u motionbeat            the model that ships; also motionbeat_untrained, motionbeat_log_mel,
                           motionbeat_base, motionbeat_local -k FILE, motionbeat_url -k ADDRESS
                           mert_local, muq_local, musicfm_local, hf_audio_local -k FOLDER
  -d {tasks}
                           MotionBeat's tasks, beside S3PRL's own
  -c                       left out: ./downstream/TASK/config.yaml if it is there, else the packaged one
  -o config.downstream_expert.datarc.KEY=PATH
                           where a task's data is; a task says which keys it lacks
  --device                 left out: cuda if there is one, else cpu

examples:
  run_downstream.py -m train -u motionbeat -d beat_tracking -p result/beats
  run_downstream.py -m evaluate -e result/beats/dev-best.ckpt
  run_downstream.py -m train -e result/beats -o config.runner.total_steps=2000
"""


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
        with restored():
            return _run(list(sys.argv[1:] if argv is None else argv))
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
        with restored():
            _run(list(argv), only_check=True)
    except MISTAKES as error:
        raise ValueError(_one_line(error)) from error


def _run(argv: list[str], only_check: bool = False) -> int:
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

    # S3PRL's module looks its parser up in argparse: it gets one that completes what is parsed.
    parsing = types.SimpleNamespace(ArgumentParser=partial(_Parser, argv, only_check))
    with ExitStack() as undo:
        undo.enter_context(registered())
        undo.enter_context(safe_classes())
        undo.enter_context(whole_checkpoints())
        undo.enter_context(replaced(command, "argparse", parsing))
        undo.enter_context(replaced(command, "Runner", CheckedRunner))
        try:
            command.main()
        except _Checked:
            return 0
        except Interrupted as interrupted:
            print(f"\nrun_downstream.py: interrupted; {interrupted}", file=sys.stderr)
            return 130
    return 0


class _Checked(Exception):
    """The options can be run."""


class _Parser(argparse.ArgumentParser):
    """S3PRL fills it with its options; parsing also completes and checks them."""

    def __init__(self, argv: list[str], only_check: bool = False) -> None:
        super().__init__(
            prog="run_downstream.py",
            epilog=EPILOG.format(tasks=", ".join(own_tasks()) or "TASK"),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        # torch.distributed.launch writes --local-rank since torch 2.0, S3PRL reads --local_rank.
        self._only_check = only_check
        self._argv = [option.replace("--local-rank", "--local_rank", 1) for option in argv]

    def parse_args(self, args: object = None, namespace: object = None) -> argparse.Namespace:  # type: ignore[override]
        self.set_defaults(device="cuda" if torch.cuda.is_available() else "cpu")
        if torch.distributed.is_torchelastic_launched():
            self.set_defaults(local_rank=int(os.environ["LOCAL_RANK"]))
        parsed = super().parse_args(self._argv)
        complete(parsed)
        if self._only_check:
            raise _Checked
        return parsed

    def error(self, message: str) -> None:  # type: ignore[override]
        raise TaskError(f"{message}; -h explains the options")


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

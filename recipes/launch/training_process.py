"""The process that trains: a recipe, deaf to the signals that are meant for the launcher's task.

SLURM sends USR2 (time is nearly up) and TERM (pre-empted, with a grace period) to every process of a job
step, and either would end the training before the task has requeued the job. The task alone decides: it ends
this process with INT, then KILL, and if the task itself dies, the kernel ends this process.

    python -m recipes.launch.training_process PARENT MODULE [arguments of the recipe]
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

FOR_THE_TASK = (signal.SIGTERM, signal.SIGUSR2)

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when process ``parent``, which started it, ends in any way.

    On Linux only; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # It may have ended before the kernel was asked.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _ignore_signals() -> None:
    for number in FOR_THE_TASK:
        signal.signal(number, signal.SIG_IGN)
    # Workers that the recipe forks are ended with TERM when they are no longer needed.
    os.register_at_fork(after_in_child=_heed_signals)
    # A shell that starts a command in the background may have it ignore INT, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _heed_signals() -> None:
    for number in FOR_THE_TASK:
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    _ignore_signals()
    recipe = sys.argv[2]
    sys.argv = [recipe, *sys.argv[3:]]
    runpy.run_module(recipe, run_name="__main__", alter_sys=True)

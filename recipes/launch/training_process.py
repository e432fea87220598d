"""Run a recipe in a process that ignores the signals for the launcher's task.

SLURM sends USR2 (before the time limit) and TERM (pre-emption with a grace period) to all processes of a job
step. Both would end the training before the task has requeued the job. Only the task ends this process, with
INT and then KILL; if the task dies, the kernel ends this process.

    python -m recipes.launch.training_process PARENT MODULE [arguments of the recipe]
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

IGNORED_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent process, with number ``parent``, ends; on Linux
    only."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # The parent may have ended before the call.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _ignore_signals() -> None:
    for signal_number in IGNORED_SIGNALS:
        signal.signal(signal_number, signal.SIG_IGN)
    # Forked workers of the recipe must not ignore TERM, which ends them.
    os.register_at_fork(after_in_child=_restore_signals)
    # Commands in the background of a shell may inherit that INT is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _restore_signals() -> None:
    for signal_number in IGNORED_SIGNALS:
        signal.signal(signal_number, signal.SIG_DFL)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    _ignore_signals()
    recipe = sys.argv[2]
    sys.argv = [recipe, *sys.argv[3:]]
    runpy.run_module(recipe, run_name="__main__", alter_sys=True)

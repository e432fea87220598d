"""Options of ``run_downstream.py`` for a training that is launched."""

from __future__ import annotations

from collections.abc import Sequence

from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream import run_downstream

RESERVED = {
    *("-m", "--mode", "-p", "--expdir", "-n", "--expname", "-e", "--past_exp", "-a", "--auto_resume"),
    "--overwrite",
}
"""Options that this recipe sets."""


def check(arguments: Sequence[str]) -> None:
    """Check the arguments before a job is queued.

    Raises:
        MotionBeatError: no OUT, a reserved option, or an error of ``run_downstream.py``.
    """
    run_downstream.check(command(arguments))


def command(arguments: Sequence[str]) -> list[str]:
    """Options of ``run_downstream.py`` that start or resume a training in OUT.

    Raises:
        MotionBeatError: no OUT, or a reserved option.
    """
    out, *options = list(arguments) or [""]
    if not out or out.startswith("-"):
        raise MotionBeatError("expected OUT, then the options of run_downstream.py; see its -h")
    reserved = [option for option in options if option in RESERVED]
    if reserved:
        raise MotionBeatError(f"{', '.join(reserved)}: set by this recipe; leave it out")
    return ["-m", "train", "-p", out, "-a", *options]

"""What the command line asks for, as ``run_downstream.py`` takes it."""

from __future__ import annotations

from collections.abc import Sequence

from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream import run_downstream

OURS = {
    *("-m", "--mode", "-p", "--expdir", "-n", "--expname", "-e", "--past_exp", "-a", "--auto_resume"),
    "--overwrite",
}
"""Options that are decided here."""


def check(arguments: Sequence[str]) -> None:
    """Refuse what could not be run.

    Raises:
        MotionBeatError: no OUT, an option that is decided here, or what ``run_downstream.py`` refuses.
    """
    run_downstream.check(command(arguments))


def command(arguments: Sequence[str]) -> list[str]:
    """Options of ``run_downstream.py``, by which a training in OUT begins or goes on.

    Raises:
        MotionBeatError: no OUT, or an option that is decided here.
    """
    out, *options = list(arguments) or [""]
    if not out or out.startswith("-"):
        raise MotionBeatError("expected OUT, then the options of run_downstream.py; see its -h")
    decided = [option for option in options if option in OURS]
    if decided:
        raise MotionBeatError(f"{', '.join(decided)}: decided by OUT, which a run goes on in; leave it out")
    return ["-m", "train", "-p", out, "-a", *options]

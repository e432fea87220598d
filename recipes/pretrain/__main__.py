"""``python -m recipes.pretrain OUT --config-file FILE``: pretrain a model, or go on with the run in OUT."""

from __future__ import annotations

import logging
import shlex
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

if sys.platform != "linux":
    # fairseq2 0.6 has no native part for Windows, and asks for os.sched_getaffinity, which macOS lacks.
    print(
        "recipes.pretrain: needs Linux, as fairseq2 does; use a Linux machine, a container or WSL",
        file=sys.stderr,
    )
    sys.exit(2)

from motionbeat_upstream.commands.command import command
from motionbeat_upstream.errors import MotionBeatError
from recipes.pretrain.log_filters import hide_empty_means, hide_noise, hide_secrets
from recipes.pretrain.options import find_config, parser

if TYPE_CHECKING:
    from fairseq2.checkpoint import CheckpointError

    from recipes.pretrain.request import Request


@command(
    "recipes.pretrain",
    interrupted="interrupted; the same command goes on from the last checkpoint",
    extra="pretrain",
)
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when the training is done, 1 for what broke."""
    config_file = parser().parse_args(arguments).config_file
    if config_file is not None:
        find_config(config_file)

    # fairseq2's native part wants libsndfile, which soundfile's wheel brings, if it is imported first.
    import soundfile  # noqa: F401
    from fairseq2.checkpoint import CheckpointError, CheckpointNotFoundError
    from fairseq2.recipe.error import RecipeError
    from fairseq2.recipe.task import TaskStopException
    from fairseq2.utils.validation import ValidationError

    from recipes.pretrain.guarded_model import NotFiniteError
    from recipes.pretrain.request import parse
    from recipes.pretrain.run_folder import not_written

    mistakes = (MotionBeatError, ValidationError, RecipeError)
    # A full disk would bring a traceback for every line of the log, and one of TensorBoard's thread.
    logging.raiseExceptions = False
    threading.excepthook = _thread_failed
    try:
        run(parse(arguments))
    except mistakes as error:
        raise MotionBeatError(str(error)) from error
    except CheckpointError as error:
        if isinstance(error.__cause__, mistakes):
            raise MotionBeatError(str(error.__cause__)) from error
        return _broken(_with_remedy(error))
    except (CheckpointNotFoundError, NotFiniteError) as error:
        return _broken(error)
    except TaskStopException:
        return 0
    except Exception as error:
        cause = not_written(error)
        if cause is None:
            raise
        raise MotionBeatError(
            f"{cause.filename or 'a file of the run'} could not be written: {cause.strerror}. Make room, or "
            f"mend what it is; the checkpoints are whole, and the same command goes on from the last"
        ) from error
    return 0


def run(request: Request) -> None:
    """Train."""
    from fairseq2.logging import log
    from fairseq2.recipe import train

    from recipes.pretrain.recipe import PretrainRecipe
    from recipes.pretrain.run_folder import (
        claimed,
        drop_metrics_beyond_checkpoint,
        keep_config,
        rank_and_size,
        refuse_other_config,
        refuse_other_size,
    )

    log.logger.addFilter(hide_secrets)
    log.logger.addFilter(hide_noise)
    logging.getLogger().addFilter(hide_empty_means)
    rank, size = rank_and_size(request.config.common.cluster)
    # Only one process of a job writes to the folder, and only it may refuse.
    first = rank == 0
    with claimed(request.folder) if first else nullcontext():
        refuse_other_config(request.folder, request.config)
        refuse_other_size(request.folder, size)
        if first:
            keep_config(request.folder, request.config)
            drop_metrics_beyond_checkpoint(request.folder)
        train(PretrainRecipe(), request.config, request.folder)
        if first:
            _print_result(request)


def _print_result(request: Request) -> None:
    """The last lines: what was reached, and what to do with it."""
    from recipes.pretrain.console import console
    from recipes.pretrain.export import chosen_step, scores
    from recipes.pretrain.run_folder import last_step

    folder, metric = request.folder, request.config.regime.score_metric
    if last_step(folder) is None:
        raise MotionBeatError(
            f"{folder}: not one step could be made; prepare corpora with more pairs to train on"
        )
    best = chosen_step(folder, "best")
    score = scores(folder).get(best)
    chosen = "" if score is None else f"; best by {metric}: step {best}, {score:.3f}"
    console.info("done: step %s%s", last_step(folder), chosen)
    console.info("export it: python -m recipes.pretrain.export %s FILE.safetensors", shlex.quote(str(folder)))


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """What a thread could not write, the main one is told and says."""
    from recipes.pretrain.run_folder import not_written

    if not_written(failed.exc_value) is None:
        threading.__excepthook__(failed)


def _with_remedy(error: CheckpointError) -> str:
    if error.kind == "score":
        return f"{error} Remove that file of checkpoints/scores"
    return f"{error} Remove checkpoints/step_{error.step_nr}, and the run goes on from the one before it"


def _broken(error: object) -> int:
    print(f"recipes.pretrain: {' '.join(str(error).split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""``python -m recipes.pretrain OUT --config-file FILE``: pretrain a model, or resume the run in OUT."""

from __future__ import annotations

import logging
import shlex
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

if sys.platform != "linux":
    # fairseq2 0.6 has no native library for Windows, and requires os.sched_getaffinity, which macOS lacks.
    print(
        "recipes.pretrain: requires Linux, like fairseq2; use a Linux machine, a container or WSL",
        file=sys.stderr,
    )
    sys.exit(2)

from motionbeat_upstream.commands.command import command
from motionbeat_upstream.errors import MotionBeatError
from recipes.pretrain.log_filters import hide_empty_means, hide_noise, hide_secrets
from recipes.pretrain.options import build_parser, find_config

if TYPE_CHECKING:
    from fairseq2.checkpoint import CheckpointError

    from recipes.pretrain.request import Request


@command(
    "recipes.pretrain",
    interrupted="interrupted; run the same command to resume from the last checkpoint",
    extra="pretrain",
)
def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code is 0 for a completed training, 1 for a failed one."""
    config_file = build_parser().parse_args(arguments).config_file
    if config_file is not None:
        find_config(config_file)

    # Before fairseq2, whose native library needs libsndfile from soundfile's wheel.
    import soundfile  # noqa: F401
    from fairseq2.checkpoint import CheckpointError, CheckpointNotFoundError
    from fairseq2.recipe.error import RecipeError
    from fairseq2.recipe.task import TaskStopException
    from fairseq2.utils.validation import ValidationError

    from recipes.pretrain.guarded_model import NotFiniteError
    from recipes.pretrain.request import parse
    from recipes.pretrain.run_folder import find_write_error

    user_errors = (MotionBeatError, ValidationError, RecipeError)
    # On a full disk, every line of the log and TensorBoard's thread would print a traceback.
    logging.raiseExceptions = False
    threading.excepthook = _thread_excepthook
    try:
        run(parse(arguments))
    except user_errors as error:
        raise MotionBeatError(str(error)) from error
    except CheckpointError as error:
        if isinstance(error.__cause__, user_errors):
            raise MotionBeatError(str(error.__cause__)) from error
        return _print_error(_with_remedy(error))
    except (CheckpointNotFoundError, NotFiniteError) as error:
        return _print_error(error)
    except TaskStopException:
        return 0
    except Exception as error:
        cause = find_write_error(error)
        if cause is None:
            raise
        raise MotionBeatError(
            f"{cause.filename or 'a file of the run'} could not be written: {cause.strerror}. Free disk "
            f"space or correct the permissions, and run the same command to resume from the last checkpoint"
        ) from error
    return 0


def run(request: Request) -> None:
    """Train, or resume a training."""
    from fairseq2.logging import log
    from fairseq2.recipe import train

    from recipes.pretrain.recipe import PretrainRecipe
    from recipes.pretrain.run_folder import (
        check_same_config,
        check_same_world_size,
        lock_folder,
        rank_and_size,
        truncate_metrics,
        write_config,
    )

    log.logger.addFilter(hide_secrets)
    log.logger.addFilter(hide_noise)
    logging.getLogger().addFilter(hide_empty_means)
    rank, size = rank_and_size(request.config.common.cluster)
    is_first_rank = rank == 0
    with lock_folder(request.folder) if is_first_rank else nullcontext():
        check_same_config(request.folder, request.config)
        check_same_world_size(request.folder, size)
        if is_first_rank:
            write_config(request.folder, request.config)
            truncate_metrics(request.folder)
        train(PretrainRecipe(), request.config, request.folder)
        if is_first_rank:
            _print_result(request)


def _print_result(request: Request) -> None:
    """Print the last step, the best checkpoint and the command to export it."""
    from recipes.pretrain.console import console
    from recipes.pretrain.export import checkpoint_scores, resolve_step
    from recipes.pretrain.run_folder import last_step

    folder, metric = request.folder, request.config.regime.score_metric
    if last_step(folder) is None:
        raise MotionBeatError(
            f"{folder}: the corpora have too few training pairs for a single step; prepare more pairs"
        )
    best = resolve_step(folder, "best")
    score = checkpoint_scores(folder).get(best)
    best_text = "" if score is None else f"; best by {metric}: step {best}, {score:.3f}"
    console.info("done: step %s%s", last_step(folder), best_text)
    console.info("export it: python -m recipes.pretrain.export %s FILE.safetensors", shlex.quote(str(folder)))


def _thread_excepthook(arguments: threading.ExceptHookArgs) -> None:
    """Print tracebacks of threads, except for failed writes, which the main thread reports."""
    from recipes.pretrain.run_folder import find_write_error

    if find_write_error(arguments.exc_value) is None:
        threading.__excepthook__(arguments)


def _with_remedy(error: CheckpointError) -> str:
    if error.kind == "score":
        return f"{error} Remove that file of checkpoints/scores"
    return f"{error} Remove checkpoints/step_{error.step_nr} to resume from the checkpoint before it"


def _print_error(error: object) -> int:
    print(f"recipes.pretrain: {' '.join(str(error).split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

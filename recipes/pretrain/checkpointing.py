"""How this recipe wants fairseq2's checkpoints: whole, read without running code, one step at a time."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from fairseq2.checkpoint import CheckpointManager
from fairseq2.error import OperationalError
from fairseq2.io import TensorDumper, TensorLoader
from fairseq2.recipe import RecipeContext

from recipes.pretrain.errors import PretrainError


class PatientCommits:
    """A checkpoint counts only when all that belongs to its step is done.

    fairseq2 writes checkpoints while the training goes on, and commits one as soon as it is written. Were
    the process killed in the validation of that step, the run would go on behind it, and the
    validation would be missing for ever. So commits wait while a validation runs.

    Args:
        manager: whose ``maybe_complete_save_operation`` is replaced.
    """

    def __init__(self, manager: CheckpointManager) -> None:
        self.waiting = False
        """Set by the validation, cleared by the next training step."""
        self._manager = manager
        self._complete = manager.maybe_complete_save_operation
        self._save = manager.save_checkpoint
        replaced: Any = manager
        replaced.maybe_complete_save_operation = self._patiently
        replaced.save_checkpoint = self._saved

    def _patiently(self, *, blocking: bool = False) -> bool | None:
        if self.waiting and not blocking:
            return False
        try:
            return self._complete(blocking=blocking)
        except OperationalError as error:
            raise _explained(error) from error

    def _saved(self, *args: Any, **kwargs: Any) -> None:
        try:
            self._save(*args, **kwargs)
        except OperationalError as error:
            raise _explained(error) from error


def read_and_write_plainly(context: RecipeContext) -> None:
    """Let no state be read that could run code, and write it so that it can be read that way.

    fairseq2 reads the trainer's, the optimizer's and the reader's state with the whole of pickle. They
    hold numbers, names and tensors only, which torch's restricted unpickler knows.
    """
    loader: Any = context.resolver.resolve(TensorLoader)  # type: ignore[type-abstract]
    dumper: Any = context.resolver.resolve(TensorDumper)  # type: ignore[type-abstract]
    load, dump = loader.load, dumper.dump

    def load_plainly(file: Path, **options: Any) -> dict[str, object]:
        values: dict[str, object] = load(file, **{**options, "restrict": True})
        return values

    def dump_plainly(data: Any, file: Path, **options: Any) -> None:
        dump(data, file, **{**options, "pickle_protocol": 2})

    loader.load, dumper.dump = load_plainly, dump_plainly


def _explained(error: OperationalError) -> Exception:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return PretrainError(
                f"a checkpoint could not be written ({cause.strerror}: {cause.filename}); the one before it "
                f"is whole. Make room and run the same command again"
            )
        cause = cause.__cause__
    return error

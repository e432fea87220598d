"""How this recipe wants fairseq2's checkpoints: whole, read without running code, one step at a time."""

from __future__ import annotations

from pathlib import Path
from pickle import PickleError
from typing import Any

from fairseq2.checkpoint import CheckpointManager
from fairseq2.io import TensorDumper, TensorFileError, TensorLoader
from fairseq2.recipe import RecipeContext


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
        replaced: Any = manager
        replaced.maybe_complete_save_operation = self._patiently

    def _patiently(self, *, blocking: bool = False) -> bool | None:
        if self.waiting and not blocking:
            return False
        return self._complete(blocking=blocking)


def read_and_write_plainly(context: RecipeContext) -> None:
    """Let no state be read that could run code, and write it so that it can be read that way.

    fairseq2 reads the trainer's, the optimizer's and the reader's state with the whole of pickle. They
    hold numbers, names and tensors only, which torch's restricted unpickler knows.
    """
    loader: Any = context.resolver.resolve(TensorLoader)  # type: ignore[type-abstract]
    dumper: Any = context.resolver.resolve(TensorDumper)  # type: ignore[type-abstract]
    load, dump = loader.load, dumper.dump

    def load_plainly(file: Path, **options: Any) -> dict[str, object]:
        try:
            values: dict[str, object] = load(file, **{**options, "restrict": True})
        except (OSError, EOFError, PickleError, RuntimeError, ValueError, LookupError) as error:
            raise TensorFileError(file, f"{file}: cannot be read ({error})") from error
        return values

    def dump_plainly(data: Any, file: Path, **options: Any) -> None:
        dump(data, file, **{**options, "pickle_protocol": 2})

    loader.load, dumper.dump = load_plainly, dump_plainly

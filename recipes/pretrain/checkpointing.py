"""Changes to fairseq2's checkpoints: committed after their validation, and read with a restricted
unpickler."""

from __future__ import annotations

from pathlib import Path
from pickle import PickleError
from typing import Any

from fairseq2.checkpoint import CheckpointManager
from fairseq2.io import TensorDumper, TensorFileError, TensorLoader
from fairseq2.recipe import RecipeContext


class DelayedCommits:
    """Delay the commit of a checkpoint until the validation of its step is done.

    fairseq2 writes checkpoints asynchronously and commits each as soon as it is written. If the process were
    killed during the validation of that step, the run would resume after it, without its validation.

    Args:
        manager: checkpoint manager, whose ``maybe_complete_save_operation`` is replaced.
    """

    def __init__(self, manager: CheckpointManager) -> None:
        self.paused = False
        """Set by the validation, cleared by the next training step."""
        self._complete = manager.maybe_complete_save_operation
        replaced: Any = manager
        replaced.maybe_complete_save_operation = self._maybe_complete

    def _maybe_complete(self, *, blocking: bool = False) -> bool | None:
        if self.paused and not blocking:
            return False
        return self._complete(blocking=blocking)


def restrict_pickle(context: RecipeContext) -> None:
    """Read states with torch's restricted unpickler, and write them in a protocol that it supports.

    fairseq2 reads the states of trainer, optimizer and reader with the full pickle protocol, which can run
    code. They contain only numbers, strings and tensors.
    """
    loader: Any = context.resolver.resolve(TensorLoader)  # type: ignore[type-abstract]
    dumper: Any = context.resolver.resolve(TensorDumper)  # type: ignore[type-abstract]
    load, dump = loader.load, dumper.dump

    def load_restricted(file: Path, **options: Any) -> dict[str, object]:
        try:
            values: dict[str, object] = load(file, **{**options, "restrict": True})
        except (OSError, EOFError, PickleError, RuntimeError, ValueError, LookupError) as error:
            raise TensorFileError(file, f"{file}: cannot be read ({error})") from error
        return values

    def dump_with_protocol_2(data: Any, file: Path, **options: Any) -> None:
        dump(data, file, **{**options, "pickle_protocol": 2})

    loader.load, dumper.dump = load_restricted, dump_with_protocol_2

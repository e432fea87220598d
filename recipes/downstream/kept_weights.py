"""What S3PRL's runner leaves to a task: which weights are kept, and that they still give numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from recipes.downstream.checkpoints import BEST
from recipes.downstream.errors import TaskError


class BestOnDev(nn.Module):
    """A task's module that knows how it did on dev so far; every checkpoint carries it."""

    best: Tensor
    """Highest criterion on dev so far."""
    expdir: Path
    """Folder for everything that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("best", torch.tensor(float("-inf"), dtype=torch.float64))
        self.fell_behind = False
        """Whether the last evaluation on dev was no better: such weights are not kept, and not tested."""

    def reached(self) -> list[str]:
        """What a training has reached, for its last lines; called where weights were kept and tested."""
        kept = json.loads((self.expdir / "scores-test.json").read_text(encoding="utf-8"))
        return [
            f"kept: the weights of step {kept['step']}, the best on dev; their test scores are above",
            f"{self.expdir}: {BEST}, scores-test.md, scores-test.json",
        ]

    def is_best(self, criterion: float) -> bool:
        """Take down a criterion on dev, more being better; whether the weights are to be kept."""
        self.fell_behind = criterion <= self.best.item()
        if not self.fell_behind:
            self.best.fill_(criterion)
        return not self.fell_behind


def check_finite(said: Iterable[Tensor]) -> None:
    """Refuse what a probe says in an evaluation when it is no numbers.

    Raises:
        TaskError: it is not.
    """
    if not all(bool(torch.isfinite(one).all()) for one in said):
        raise TaskError(
            "the probe gives no numbers (NaN or infinite): the training has diverged, or the upstream's "
            "features are no numbers; lower config.optimizer.lr"
        )

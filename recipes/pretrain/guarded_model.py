"""Steps without a finite gradient are left out, counted, and stop a run that has too many in a row."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from fairseq2.metrics import Mean, MetricBag, Sum
from fairseq2.models import ModelFamily
from fairseq2.recipe import RecipeModel
from fairseq2.typing import ContextManager
from torch import Tensor
from torch.nn import Module

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.atomic_write import atomic_path
from recipes.pretrain.metrics import SKIPPED

PARTS = {
    "music": "motionbeat.music.",
    "motion": "motionbeat.motion.",
}
"""Whose gradients' norms are told apart, by how the names of their parameters begin."""

BAD_BATCHES = "bad_batches.json"
"""File of a run's folder that says which batches had no finite gradient."""


class NotFiniteError(Exception):
    """Too many steps in a row had no finite gradient."""


class GuardedModel(RecipeModel):
    """A model whose gradients are taken away where they are not finite.

    A loss that is infinite on one rank makes the summed gradients so on all of them, so every rank decides
    alike without asking the others. An optimizer passes over parameters without a gradient.

    Args:
        model: fairseq2's.
        stop_after: steps in a row that stop the run.
        folder: where the batches of those steps are written to, in a file for each rank.
        rank: of this process; steps are counted on the first.
    """

    def __init__(self, model: RecipeModel, stop_after: int, folder: Path, rank: int = 0) -> None:
        self._model = model
        self._stop_after = stop_after
        self._report = folder / (BAD_BATCHES if rank == 0 else f"{rank}_{BAD_BATCHES}")
        self._first = rank == 0
        self._skipped: list[dict[str, object]] = []
        self._step = 0
        self._clips: list[dict[str, object]] = []
        self._metrics = MetricBag(device=torch.device("cpu"))

    @staticmethod
    def prepare_metric_bag(metric_bag: MetricBag) -> None:
        """Name what is recorded of gradients."""
        for part in PARTS:
            metric_bag.add(f"grad_norm_{part}", Mean())
        metric_bag.add(SKIPPED, Sum())

    def will_step(self, step: int, batch: Batch, metric_bag: MetricBag) -> None:
        """Remember what the next gradient comes from, and where to record it.

        It is recorded in its own step, before that step's checkpoint, so that a run that goes on from
        there has it too.
        """
        if step != self._step:
            self._step, self._clips = step, []
        self._clips += [
            {"pair": name, "start": start} for name, start in zip(batch.names, batch.starts, strict=True)
        ]
        self._metrics = metric_bag

    def clip_grad_norm(self, max_norm: float | None) -> Tensor:
        """The norm of the gradient, clipped to ``max_norm``; 0 for a step that is left out.

        Raises:
            NotFiniteError: too many in a row were.
        """
        norms = {name: _norm(self.module, start) for name, start in PARTS.items()}
        norm = self._model.clip_grad_norm(max_norm)
        finite = bool(norm.isfinite())
        if self._first:
            self._metrics.get(SKIPPED, Sum).update(int(not finite))
        if finite:
            for name, part in norms.items():
                self._metrics.get(f"grad_norm_{name}", Mean).update(part)
            self._skipped.clear()
            return norm
        self.module.zero_grad(set_to_none=True)
        self._skipped.append({"step": self._step, "clips": self._clips})
        if len(self._skipped) >= self._stop_after:
            with atomic_path(self._report) as draft:
                draft.write_text(json.dumps(self._skipped, indent=2) + "\n", encoding="utf-8")
            raise NotFiniteError(
                f"{len(self._skipped)} steps in a row without a finite gradient (criterion.stop_after); "
                f"their batches are in {self._report}. Lower optimizer.config.lr, or look at those clips"
            )
        return torch.zeros_like(norm)

    def state_dict(self) -> dict[str, object]:
        """The wrapped model's."""
        return self._model.state_dict()

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """The wrapped model's."""
        self._model.load_state_dict(state_dict)

    def no_sync(self) -> ContextManager[None]:
        """The wrapped model's."""
        return self._model.no_sync()

    def summon_full_parameters(self) -> ContextManager[None]:
        """The wrapped model's."""
        return self._model.summon_full_parameters()

    @property
    def module(self) -> Module:
        """The wrapped model's."""
        return self._model.module

    @property
    def base_module(self) -> Module:
        """The wrapped model's."""
        return self._model.base_module

    @property
    def config(self) -> object:
        """The wrapped model's."""
        return self._model.config

    @property
    def family(self) -> ModelFamily:
        """The wrapped model's."""
        return self._model.family

    @property
    def newly_initialized(self) -> bool:
        """The wrapped model's."""
        return self._model.newly_initialized


def _norm(module: Module, start: str) -> Tensor:
    """Of the gradients of the parameters whose names begin so, wrapped in other modules or not."""
    grads = [
        parameter.grad.float().norm()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and name.removeprefix("module.").startswith(start)
    ]
    return torch.stack(grads).norm() if grads else torch.zeros(())

"""Skip and count steps without a finite gradient; stop a run after too many in a row."""

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
from recipes.pretrain.metrics import SKIPPED_STEPS

GRADIENT_PARTS = {"music": "motionbeat.music.", "motion": "motionbeat.motion."}
"""Parts with a gradient norm of their own, and the prefixes of their parameters."""

BAD_BATCHES = "bad_batches.json"
"""File in the folder of a run that lists the batches without a finite gradient."""


class NotFiniteError(Exception):
    """Too many consecutive steps had no finite gradient."""


class GuardedModel(RecipeModel):
    """A model that removes gradients that are not finite, so that the optimizer skips the step.

    An infinite loss on one rank makes the summed gradients infinite on all ranks, so that all ranks decide
    equally without communication.

    Args:
        model: wrapped model.
        stop_after: number of consecutive skipped steps that stops the run.
        folder: folder for the list of bad batches, one file per rank.
        rank: rank of this process; rank 0 counts the skipped steps.
    """

    def __init__(self, model: RecipeModel, stop_after: int, folder: Path, rank: int = 0) -> None:
        self._model = model
        self._stop_after = stop_after
        self._report = folder / (BAD_BATCHES if rank == 0 else f"{rank}_{BAD_BATCHES}")
        self._is_first_rank = rank == 0
        self._skipped: list[dict[str, object]] = []
        self._step = 0
        self._clips: list[dict[str, object]] = []
        self._metrics = MetricBag(device=torch.device("cpu"))

    @staticmethod
    def prepare_metric_bag(metric_bag: MetricBag) -> None:
        """Add the metrics of gradients."""
        for part in GRADIENT_PARTS:
            metric_bag.add(f"grad_norm_{part}", Mean())
        metric_bag.add(SKIPPED_STEPS, Sum())

    def will_step(self, step: int, batch: Batch, metric_bag: MetricBag) -> None:
        """Store the clips of the next gradient, and the metrics to update.

        The metrics are updated in the same step, before its checkpoint, so that a resumed run contains them.
        """
        if step != self._step:
            self._step, self._clips = step, []
        self._clips += [
            {"pair": name, "start": start} for name, start in zip(batch.names, batch.starts, strict=True)
        ]
        self._metrics = metric_bag

    def clip_grad_norm(self, max_norm: float | None) -> Tensor:
        """Clip the gradient to ``max_norm`` and return its norm; 0 for a skipped step.

        Raises:
            NotFiniteError: too many consecutive steps were skipped.
        """
        norms = {name: _norm(self.module, start) for name, start in GRADIENT_PARTS.items()}
        norm = self._model.clip_grad_norm(max_norm)
        finite = bool(norm.isfinite())
        if self._is_first_rank:
            self._metrics.get(SKIPPED_STEPS, Sum).update(int(not finite))
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
                f"their batches are listed in {self._report}. Lower optimizer.config.lr, or check those clips"
            )
        return torch.zeros_like(norm)

    def state_dict(self) -> dict[str, object]:
        """Delegate to the wrapped model."""
        return self._model.state_dict()

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Delegate to the wrapped model."""
        self._model.load_state_dict(state_dict)

    def no_sync(self) -> ContextManager[None]:
        """Delegate to the wrapped model."""
        return self._model.no_sync()

    def summon_full_parameters(self) -> ContextManager[None]:
        """Delegate to the wrapped model."""
        return self._model.summon_full_parameters()

    @property
    def module(self) -> Module:
        """Delegate to the wrapped model."""
        return self._model.module

    @property
    def base_module(self) -> Module:
        """Delegate to the wrapped model."""
        return self._model.base_module

    @property
    def config(self) -> object:
        """Delegate to the wrapped model."""
        return self._model.config

    @property
    def family(self) -> ModelFamily:
        """Delegate to the wrapped model."""
        return self._model.family

    @property
    def newly_initialized(self) -> bool:
        """Delegate to the wrapped model."""
        return self._model.newly_initialized


def _norm(module: Module, start: str) -> Tensor:
    """Norm of the gradients of the parameters with a prefix, also if the module is wrapped for DDP."""
    grads = [
        parameter.grad.float().norm()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and name.removeprefix("module.").startswith(start)
    ]
    return torch.stack(grads).norm() if grads else torch.zeros(())

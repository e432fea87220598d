"""A validation as fairseq2 runs it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import cast

from fairseq2.logging import log
from fairseq2.metrics import Mean, MetricBag
from fairseq2.recipe import EvalUnit, RecipeModel

from motion_data.pipeline.batch import Batch
from recipes.pretrain.checkpointing import PatientCommits
from recipes.pretrain.model import PretrainedModel
from recipes.pretrain.validation.figures import Figures


class ValidationUnit(EvalUnit[Batch]):
    """Computes the figures of the dev split.

    Args:
        model: what is trained.
        commits: told that a validation runs.
        pool: motions that each music's own is found among.
        probe: whether to fit a beat probe.
        score: what the best checkpoint is chosen by.
        retrieval: whether to compare music with motion.
    """

    def __init__(
        self,
        model: RecipeModel,
        commits: PatientCommits,
        pool: int,
        probe: bool,
        score: str | None = None,
        retrieval: bool = True,
    ) -> None:
        self._score = score
        self._retrieval = retrieval
        self._model = model
        self._commits = commits
        self._pool = pool
        self._probe = probe
        self._figures = self._none_yet()

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """Nothing: what can be said is known at the end."""

    def set_train_step_nr(self, step_nr: int) -> None:
        """Begin."""
        self._commits.waiting = True
        self._figures = self._none_yet()

    def process_batch(self, batch: Batch, metric_bag: MetricBag) -> None:
        """Add a batch."""
        self._figures.add(batch)

    def finalize(self, metric_bag: MetricBag) -> None:
        """Compute the figures."""
        for name, value in self._figures.compute().items():
            metric_bag.add(name, Mean())
            metric_bag.get(name, Mean).update(value)
        self._figures = self._none_yet()

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        """Where nothing can be compared, every checkpoint is as good as the others: the last is kept."""
        if self._score is not None and self._score not in values:
            log.warning("the dev split has nothing that {} could be computed of; it counts as 0", self._score)
            values[self._score] = 0.0

    @property
    def model(self) -> RecipeModel:
        """What is validated."""
        return self._model

    def _none_yet(self) -> Figures:
        return Figures(
            cast(PretrainedModel, self._model.base_module), self._pool, self._probe, self._retrieval
        )

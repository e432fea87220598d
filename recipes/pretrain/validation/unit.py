"""Validation as a unit of fairseq2: the same clips every time, kept in memory, and their metrics."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Self, cast

import numpy as np
from fairseq2.datasets import DataReader
from fairseq2.logging import log
from fairseq2.metrics import Mean, MetricBag
from fairseq2.recipe import EvalUnit, RecipeModel

from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.negatives.drawing import NegativeCounts
from motion_data.pipeline.batch import Batch, collate
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.reader import ClipReader
from recipes.pretrain.checkpointing import DelayedCommits
from recipes.pretrain.config import ValidationSection
from recipes.pretrain.model import PretrainedModel
from recipes.pretrain.validation.validation_metrics import ValidationMetrics

CLIP_PHASE = 0.4
"""Bar phase of the start of every clip on its shared grid; constant, so that clips of different batches are
comparable."""

CORPUS_OFFSET = 10_000_000
"""Offset between the numbers of pieces and takes of two corpora; larger than any corpus."""

HARD_NEGATIVES = NegativeCounts(jittered=3, stretched=1, others=1)
"""Hard negatives per clip: five, so that chance is 1/6."""


class DevReader(DataReader[Batch]):
    """Read the first clips of the dev split. Every rank reads all of them and computes the same metrics.

    Args:
        corpora: corpora to read, with the same number of clips each; corpora without the split are skipped.
        settings: pipeline settings of the training.
        clips: approximate number of clips in all.
        split: dev, or test for finished runs.
        retrieval: whether music is compared with motion; without it, batches have no motions.

    Raises:
        DataError: no corpus has the split.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        settings: PipelineConfig,
        clips: int,
        split: str = "dev",
        retrieval: bool = True,
    ) -> None:
        corpora_with_split = [corpus for corpus in corpora if corpus.split(split)]
        if not corpora_with_split:
            raise DataError(
                f"no corpus has a {split} split to validate on; prepare one, or set validation.clips to 0"
            )
        settings = replace(settings, same_every_epoch=True, clips_per_pair=1, speed_octaves=0.0)
        self._retrieval = retrieval
        self._readers = [
            ClipReader(corpus, split, settings, negatives=HARD_NEGATIVES if retrieval else None)
            for corpus in corpora_with_split
        ]
        self._clips = -(-clips // len(corpora_with_split))
        self._batches: list[Batch] | None = None
        self._next = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Batch]:
        """Return the next batch; raise ``StopIteration`` after the last."""
        if self._batches is None:
            self._batches = self._read()
        if self._next == len(self._batches):
            raise StopIteration
        self._next += 1
        return [self._batches[self._next - 1]]

    def reset(self) -> None:
        """Return to the first batch."""
        self._next = 0

    def state_dict(self) -> dict[str, object]:
        """Return an empty state: a validation always starts from its first batch."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Do nothing; there is no state."""

    @property
    def num_accumulate(self) -> int:
        """Batches per step."""
        return 1

    def _read(self) -> list[Batch]:
        batches: list[Batch] = []
        for corpus, reader in enumerate(self._readers):
            count = 0
            for examples in reader:
                rng = np.random.default_rng(len(batches))
                batch = collate(
                    examples, CLIP_PHASE, rng, motions=self._retrieval, motion_grids=self._retrieval
                )
                # Pieces and takes are numbered per corpus.
                batch.pieces, batch.takes = (
                    batch.pieces + corpus * CORPUS_OFFSET,
                    batch.takes + corpus * CORPUS_OFFSET,
                )
                batches.append(batch)
                count += len(batch)
                if count >= self._clips:
                    break
        return batches


class ValidationUnit(EvalUnit[Batch]):
    """Compute the metrics of the dev split.

    Args:
        model: model being trained.
        commits: paused during a validation.
        section: settings.
        score: metric that selects the best checkpoint.
    """

    def __init__(
        self,
        model: RecipeModel,
        commits: DelayedCommits,
        section: ValidationSection,
        score: str | None = None,
    ) -> None:
        self._model = model
        self._commits = commits
        self._section = section
        self._score = score
        self._metrics = self._new_metrics()

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """Do nothing; the names of the metrics are known at the end."""

    def set_train_step_nr(self, step_nr: int) -> None:
        """Start a validation."""
        self._commits.paused = True
        self._metrics = self._new_metrics()

    def process_batch(self, batch: Batch, metric_bag: MetricBag) -> None:
        """Add a batch."""
        self._metrics.add(batch)

    def finalize(self, metric_bag: MetricBag) -> None:
        """Compute and record the metrics."""
        for name, value in self._metrics.compute().items():
            metric_bag.add(name, Mean())
            metric_bag.get(name, Mean).update(value)
        self._metrics = self._new_metrics()

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        """Set a score that cannot be computed to 0, so that the last checkpoint is kept."""
        if self._score is not None and self._score not in values:
            log.warning("{} cannot be computed on the dev split; it counts as 0", self._score)
            values[self._score] = 0.0

    @property
    def model(self) -> RecipeModel:
        """The validated model."""
        return self._model

    def _new_metrics(self) -> ValidationMetrics:
        return ValidationMetrics(cast(PretrainedModel, self._model.base_module), self._section)

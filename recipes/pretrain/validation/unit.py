"""A validation as fairseq2 runs it: the same clips every time, kept in memory, and their figures."""

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
from recipes.pretrain.checkpointing import PatientCommits
from recipes.pretrain.config import ValidationSection
from recipes.pretrain.model import PretrainedModel
from recipes.pretrain.validation.figures import Figures

PHASE = 0.4
"""Bar phase at which every clip begins on the grid that it is shown on: one, so that clips of different
batches can be compared."""

APART = 10_000_000
"""More than any corpus has pieces or takes."""

WANTED = NegativeCounts(jittered=3, stretched=1, others=1)
"""Hard negatives: the own motion is one of six."""


class DevReader(DataReader[Batch]):
    """Reads the first clips of the dev split. Every rank reads them all, and finds the same figures.

    Args:
        corpora: whose splits are read, as many clips of each. One without such a split is passed over.
        settings: of the training's pipeline.
        clips: to read in all, about.
        split: dev, or test once a run is over.
        retrieval: whether music will be compared with motion; without, batches have no motions.

    Raises:
        DataError: no corpus has such a split.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        settings: PipelineConfig,
        clips: int,
        split: str = "dev",
        retrieval: bool = True,
    ) -> None:
        held = [corpus for corpus in corpora if corpus.split(split)]
        if not held:
            raise DataError(
                f"no corpus has a {split} split to validate on; prepare one, or set validation.clips to 0"
            )
        settings = replace(settings, same_every_epoch=True, clips_per_pair=1, speed_octaves=0.0)
        self._retrieval = retrieval
        self._readers = [
            ClipReader(corpus, split, settings, negatives=WANTED if retrieval else None) for corpus in held
        ]
        self._clips = -(-clips // len(held))
        self._batches: list[Batch] | None = None
        self._next = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Batch]:
        """The next batch; ``StopIteration`` after the last."""
        if self._batches is None:
            self._batches = self._read()
        if self._next == len(self._batches):
            raise StopIteration
        self._next += 1
        return [self._batches[self._next - 1]]

    def reset(self) -> None:
        """Go to the first batch."""
        self._next = 0

    def state_dict(self) -> dict[str, object]:
        """Nothing: a validation is never begun in its middle."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Nothing, as above."""

    @property
    def num_accumulate(self) -> int:
        """Batches a step."""
        return 1

    def _read(self) -> list[Batch]:
        batches: list[Batch] = []
        for corpus, reader in enumerate(self._readers):
            count = 0
            for examples in reader:
                rng = np.random.default_rng(len(batches))
                batch = collate(examples, PHASE, rng, motions=self._retrieval, motion_grids=self._retrieval)
                # Pieces and takes are numbered by corpus, and here several of them meet.
                batch.pieces, batch.takes = batch.pieces + corpus * APART, batch.takes + corpus * APART
                batches.append(batch)
                count += len(batch)
                if count >= self._clips:
                    break
        return batches


class ValidationUnit(EvalUnit[Batch]):
    """Computes the figures of the dev split.

    Args:
        model: what is trained.
        commits: told that a validation runs.
        section: how much is measured.
        score: what the best checkpoint is chosen by.
    """

    def __init__(
        self,
        model: RecipeModel,
        commits: PatientCommits,
        section: ValidationSection,
        score: str | None = None,
    ) -> None:
        self._model = model
        self._commits = commits
        self._section = section
        self._score = score
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
        return Figures(cast(PretrainedModel, self._model.base_module), self._section)

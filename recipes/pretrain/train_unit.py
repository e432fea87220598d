"""A training step as fairseq2 runs it, and what is recorded of it."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import cast

from fairseq2.metrics import Mean, MetricBag, Sum
from fairseq2.recipe import RecipeModel, TrainUnit
from torch import Tensor

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.pretrain.checkpointing import PatientCommits
from recipes.pretrain.console import console
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.data_reader import PretrainReader
from recipes.pretrain.guarded_model import GuardedModel
from recipes.pretrain.metrics import PARTS_OF_LOSS


class PretrainUnit(TrainUnit[Batch]):
    """The criterion on a batch.

    Args:
        model: guarded.
        settings: of the criterion.
        reader: which counts what was waited for batches.
        commits: told that a validation is over.
    """

    def __init__(
        self,
        model: GuardedModel,
        settings: CriterionSettings,
        reader: PretrainReader,
        commits: PatientCommits,
    ) -> None:
        self._model = model
        self._commits = commits
        self._settings = settings
        self._reader = reader
        self._step = 0
        self._began = False
        self._computed: set[str] = set()
        self._counted = (time.perf_counter(), reader.waited)

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """Name what will be recorded."""
        for name in PARTS_OF_LOSS:
            metric_bag.add(name, Mean())
        metric_bag.add("clips", Sum())
        metric_bag.add("audio_seconds", Sum())
        self._model.prepare_metric_bag(metric_bag)

    def set_step_nr(self, step_nr: int) -> None:
        """Know the step."""
        self._step = step_nr
        self._commits.waiting = False

    def process_batch(self, batch: Batch, metric_bag: MetricBag) -> tuple[Tensor, None]:
        """The mean loss of a batch."""
        self._model.will_step(self._step, batch, metric_bag)
        loss, parts = cast(tuple[Tensor, dict[str, Tensor]], self._model.module(batch, self._settings))
        if not self._began:
            # The first line of a publish interval may be many minutes away.
            console.info("step %d: loss %.3f", self._step, loss.item())
            self._began = True
        for name, value in parts.items():
            # A part that nothing in the batch speaks of, or that is to be skipped, would spoil the mean.
            if bool(value.isfinite()):
                metric_bag.get(name, Mean).update(value.float().cpu())
                self._computed.add(name)
        metric_bag.get("clips", Sum).update(len(batch))
        metric_bag.get("audio_seconds", Sum).update(float(batch.wav_lengths.sum()) / SAMPLE_RATE)
        return loss, None

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        """Add the share of the time that was waited for data; leave out what was not computed."""
        # A mean of nothing would be told as 0.
        for name in set(PARTS_OF_LOSS) - self._computed:
            values.pop(name, None)
        self._computed.clear()
        begin, waited = self._counted
        self._counted = (time.perf_counter(), self._reader.waited)
        spent = self._counted[0] - begin
        values["data_wait_share"] = (self._reader.waited - waited) / spent if spent else 0.0

    @property
    def model(self) -> RecipeModel:
        """What is trained."""
        return self._model

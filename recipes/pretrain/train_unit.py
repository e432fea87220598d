"""The training unit of fairseq2: loss and metrics of a step."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import cast

from fairseq2.metrics import Mean, MetricBag, Sum
from fairseq2.recipe import RecipeModel, TrainUnit
from torch import Tensor

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.pretrain.checkpointing import DelayedCommits
from recipes.pretrain.console import console
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.data_reader import PretrainReader
from recipes.pretrain.guarded_model import GuardedModel
from recipes.pretrain.metrics import LOSS_METRICS


class PretrainUnit(TrainUnit[Batch]):
    """Compute the loss of batches and record metrics.

    Args:
        model: model being trained.
        settings: settings of the criterion.
        reader: reader of the training batches, which measures waiting times.
        commits: resumed at each training step.
    """

    def __init__(
        self,
        model: GuardedModel,
        settings: CriterionSettings,
        reader: PretrainReader,
        commits: DelayedCommits,
    ) -> None:
        self._model = model
        self._commits = commits
        self._settings = settings
        self._reader = reader
        self._step = 0
        self._logged_first_loss = False
        self._computed: set[str] = set()
        self._last_timing = (time.perf_counter(), reader.wait_seconds)

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """Add the metrics of training."""
        for name in LOSS_METRICS:
            metric_bag.add(name, Mean())
        metric_bag.add("clips", Sum())
        metric_bag.add("audio_seconds", Sum())
        self._model.prepare_metric_bag(metric_bag)

    def set_step_nr(self, step_nr: int) -> None:
        """Start a step."""
        self._step = step_nr
        self._commits.paused = False

    def process_batch(self, batch: Batch, metric_bag: MetricBag) -> tuple[Tensor, None]:
        """Return the mean loss of a batch."""
        self._model.will_step(self._step, batch, metric_bag)
        loss, parts = cast(tuple[Tensor, dict[str, Tensor]], self._model.module(batch, self._settings))
        if not self._logged_first_loss:
            # The first publish interval may take many minutes.
            console.info("step %d: loss %.3f", self._step, loss.item())
            self._logged_first_loss = True
        for name, value in parts.items():
            # Parts that are undefined for the batch, and those of a skipped step, are not finite.
            if bool(value.isfinite()):
                metric_bag.get(name, Mean).update(value.float().cpu())
                self._computed.add(name)
        metric_bag.get("clips", Sum).update(len(batch))
        metric_bag.get("audio_seconds", Sum).update(float(batch.wav_lengths.sum()) / SAMPLE_RATE)
        return loss, None

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        """Add the share of time spent waiting for data; remove metrics that were not computed."""
        # fairseq2 reports the mean of no values as 0.
        for name in set(LOSS_METRICS) - self._computed:
            values.pop(name, None)
        self._computed.clear()
        start_time, wait_seconds = self._last_timing
        self._last_timing = (time.perf_counter(), self._reader.wait_seconds)
        elapsed = self._last_timing[0] - start_time
        values["data_wait_share"] = (self._reader.wait_seconds - wait_seconds) / elapsed if elapsed else 0.0

    @property
    def model(self) -> RecipeModel:
        """The model being trained."""
        return self._model

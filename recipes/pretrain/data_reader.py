"""The pipeline's batches as fairseq2 reads them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import torch
from fairseq2.datasets import DataReader
from fairseq2.gang import Gang, ReduceOperation

from motion_data.pipeline.mixture import Mixture
from recipes.pretrain.batch import PretrainBatch, pretrain_batch


class PretrainReader(DataReader[PretrainBatch]):
    """Reads a mixture of corpora, a batch ahead of what was asked for.

    Args:
        mixture: of this rank.
        gang: the ranks that train together. Where one of them has no batch, all pass that step over.
        seed: of what is left to chance.
        accumulate: batches a step.
        rolled: give each clip its motion rolled at random.
    """

    def __init__(
        self, mixture: Mixture, gang: Gang, seed: int, accumulate: int = 1, rolled: bool = False
    ) -> None:
        self._mixture = mixture
        self._seed = seed
        self._gang = gang
        self._accumulate = accumulate
        self._rolled = rolled
        self._reached = mixture.state_dict()
        self._thread = ThreadPoolExecutor(1, "batch-ahead")
        self._ahead: Future[tuple[PretrainBatch | None, dict[str, Any]]] | None = None
        self.waited = 0.0
        """Seconds that were waited for batches."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[PretrainBatch]:
        """The next batches; ``StopIteration`` where the epoch has no more steps of so many."""
        batches: list[PretrainBatch] = []
        while len(batches) < self._accumulate:
            begin = time.perf_counter()
            future = self._ahead or self._thread.submit(self._fetch)
            self._ahead = None
            try:
                batch, self._reached = future.result()
            except _EpochOver:
                raise StopIteration from None
            finally:
                self.waited += time.perf_counter() - begin
            self._ahead = self._thread.submit(self._fetch)
            if batch is not None and self._all_have(batch):
                batches.append(batch)
            elif batch is None:
                self._all_have(None)
        return batches

    def reset(self) -> None:
        """Go to the first batch of the next epoch."""
        self._drop_ahead()
        self._mixture.reset()
        self._reached = self._mixture.state_dict()

    def state_dict(self) -> dict[str, object]:
        """Where the batches stand that were handed on; what was read ahead does not count."""
        return self._reached

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Go on where another reader stood."""
        self._drop_ahead()
        self._mixture.load_state_dict(state_dict)
        self._reached = dict(state_dict)

    @property
    def num_accumulate(self) -> int:
        """Batches a step."""
        return self._accumulate

    def _fetch(self) -> tuple[PretrainBatch | None, dict[str, Any]]:
        try:
            batch = self._mixture.next_step()
        except StopIteration:
            # A future cannot carry a StopIteration out of its thread.
            raise _EpochOver from None
        reached = self._mixture.state_dict()
        if batch is None:
            return None, reached
        step = [self._seed, reached["epoch"], reached["position"]]
        # The same on all ranks, whose clips are each other's negatives.
        place = float(np.random.default_rng(step).random())
        rng = np.random.default_rng([*step, 1 + self._gang.rank])
        return pretrain_batch(batch, place, rng, self._rolled), reached

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.exception()
            self._ahead = None

    def _all_have(self, batch: PretrainBatch | None) -> bool:
        if self._gang.size == 1:
            return batch is not None
        have = torch.tensor(float(batch is not None), device=self._gang.device)
        self._gang.all_reduce(have, ReduceOperation.MIN)
        return bool(have)


class _EpochOver(Exception):
    pass

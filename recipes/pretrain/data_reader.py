"""The pipeline's batches as fairseq2 reads them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import torch
from fairseq2.datasets import DataReader
from fairseq2.gang import Gang, ReduceOperation
from torch.utils.data import DataLoader

from motion_data.pipeline.mixture import Mixture
from recipes.pretrain.batch import PretrainBatch
from recipes.pretrain.step_stream import Step, StepStream


class PretrainReader(DataReader[PretrainBatch]):
    """Reads a mixture of corpora, ahead of what was asked for.

    Args:
        make: gives the mixture of this rank.
        gang: the ranks that train together. Where one of them has no batch, all pass that step over.
        seed: of what is left to chance.
        accumulate: batches a step.
        rolled: give each clip its motion rolled at random.
        own_process: read in a process of its own. In a thread, what is rendered and what is trained wait
            for each other's Python: a step was measured two to three times as long.
    """

    def __init__(
        self,
        make: Callable[[], Mixture],
        gang: Gang,
        seed: int,
        accumulate: int = 1,
        rolled: bool = False,
        own_process: bool = False,
    ) -> None:
        self._make, self._gang, self._seed = make, gang, seed
        self._accumulate, self._rolled, self._own_process = accumulate, rolled, own_process
        # Never read from: it says where a run begins, and refuses to go on with other data.
        self._plan = make()
        self._reached: Mapping[str, Any] = self._plan.state_dict()
        self._steps: Iterator[Step] | None = None
        self._epoch_over = False
        self.waited = 0.0
        """Seconds that were waited for batches."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[PretrainBatch]:
        """The next batches; ``StopIteration`` where the epoch has no more steps of so many.

        Raises:
            DataError: too many clips in a row could not be used.
        """
        batches: list[PretrainBatch] = []
        while len(batches) < self._accumulate:
            step = self._next_step()
            self._reached = step.reached
            if step.failure is not None:
                raise step.failure
            if step.epoch_over:
                self._epoch_over = True
                raise StopIteration
            if self._all_have(step.batch) and step.batch is not None:
                batches.append(step.batch)
        return batches

    def reset(self) -> None:
        """Go to the first batch of the next epoch; what is read ahead is there already after the last."""
        if not self._epoch_over:
            self._plan.load_state_dict(self._reached)
            self._plan.reset()
            self._reached, self._steps = self._plan.state_dict(), None
        self._epoch_over = False

    def state_dict(self) -> dict[str, object]:
        """Where the batches stand that were handed on; what was read ahead does not count."""
        return dict(self._reached)

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Go on where another reader stood.

        Raises:
            DataError: it read other data.
        """
        self._plan.load_state_dict(state_dict)
        self._reached, self._steps = dict(state_dict), None

    @property
    def num_accumulate(self) -> int:
        """Batches a step."""
        return self._accumulate

    def _next_step(self) -> Step:
        begin = time.perf_counter()
        if self._steps is None:
            stream = StepStream(self._make, self._reached, self._seed, self._gang.rank, self._rolled)
            self._steps = _from_a_process(stream) if self._own_process else _from_a_thread(stream)
        step = next(self._steps)
        self.waited += time.perf_counter() - begin
        return step

    def _all_have(self, batch: PretrainBatch | None) -> bool:
        if self._gang.size == 1:
            return batch is not None
        have = torch.tensor(float(batch is not None), device=self._gang.device)
        self._gang.all_reduce(have, ReduceOperation.MIN)
        return bool(have)


def _from_a_process(stream: StepStream) -> Iterator[Step]:
    # A forked process would inherit torch's threads without their being alive.
    return iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=1,
            prefetch_factor=2,
            collate_fn=_as_it_is,
            multiprocessing_context="spawn",
        )
    )


def _from_a_thread(stream: StepStream) -> Iterator[Step]:
    """One step ahead."""
    steps = iter(stream)
    with ThreadPoolExecutor(1, "step-ahead") as thread:
        ahead = thread.submit(next, steps)
        while True:
            step = ahead.result()
            if step.failure is None:
                ahead = thread.submit(next, steps)
            yield step
            if step.failure is not None:
                return


def _as_it_is(step: Any) -> Any:
    return step

"""The pipeline's batches as fairseq2 reads them: ahead of what is asked for, and from any step on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from fairseq2.datasets import DataReader
from fairseq2.gang import Gang, ReduceOperation
from torch.utils.data import DataLoader, IterableDataset

from motion_data.errors import DataError
from motion_data.pipeline.batch import Batch, collate
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import Mixture
from motionbeat_upstream.errors import AudioError
from motionbeat_upstream.processes import end_with_parent

Collate = Callable[[list[Example], float, np.random.Generator], Batch]
"""Makes a batch of clips, given the bar phase at which all begin, and what draws the rest."""


@dataclass(frozen=True)
class Step:
    """What was planned as a step, as it came out."""

    batch: Batch | None
    """None where not one clip could be used, where the epoch is over, and where reading failed."""
    reached: Mapping[str, Any]
    """Where the mixture stands after it."""
    epoch_over: bool = False
    failure: Exception | None = None


class StepStream(IterableDataset[Step]):
    """Endless steps of a mixture, epoch after epoch: what a process of its own reads.

    Args:
        make: gives the mixture; called where it is read.
        start: where it is to begin.
        seed: of what is random in a batch.
        rank: of this process among those that train together.
        collate: makes the batches.
    """

    def __init__(
        self, make: Callable[[], Mixture], start: Mapping[str, Any], seed: int, rank: int, collate: Collate
    ) -> None:
        self._make, self._start = make, start
        self._seed, self._rank, self._collate = seed, rank, collate

    def __iter__(self) -> Iterator[Step]:
        mixture = self._make()
        mixture.load_state_dict(self._start)
        while True:
            try:
                examples = mixture.next_step()
            except StopIteration:
                mixture.reset()
                yield Step(None, mixture.state_dict(), epoch_over=True)
                continue
            except (DataError, AudioError) as error:
                # Raised where it is awaited: from another process it would come with that one's traceback.
                yield Step(None, mixture.state_dict(), failure=error)
                return
            reached = mixture.state_dict()
            yield Step(self._batch(examples, reached) if examples else None, reached)

    def _batch(self, examples: list[Example], reached: Mapping[str, Any]) -> Batch:
        step = [self._seed, reached["epoch"], reached["position"]]
        # The same on all ranks, whose clips are each other's negatives.
        phase = float(np.random.default_rng(step).random())
        return self._collate(examples, phase, np.random.default_rng([*step, 1 + self._rank]))


class PretrainReader(DataReader[Batch]):
    """Reads a mixture of corpora, ahead of what was asked for.

    Args:
        make: gives the mixture of this rank.
        gang: the ranks that train together. Where one of them has no batch, all pass that step over.
        seed: of what is random in a batch.
        accumulate: batches a step.
        collate: makes the batches.
        own_process: read in a process of its own. In a thread, what is rendered and what is trained wait
            for each other's Python: a step was measured two to three times as long.
    """

    def __init__(
        self,
        make: Callable[[], Mixture],
        gang: Gang,
        seed: int,
        accumulate: int = 1,
        collate: Collate = collate,
        own_process: bool = False,
    ) -> None:
        self._make, self._gang, self._seed = make, gang, seed
        self._accumulate, self._collate, self._own_process = accumulate, collate, own_process
        # Never read from: it says where a run begins, and refuses to go on with other data.
        self._plan = make()
        self._reached: Mapping[str, Any] = self._plan.state_dict()
        self._steps: Iterator[Step] | None = None
        self._epoch_over = False
        self.waited = 0.0
        """Seconds that were waited for batches."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Batch]:
        """The next batches; ``StopIteration`` where the epoch has no more steps of so many.

        Raises:
            DataError: too many clips in a row could not be used.
        """
        batches: list[Batch] = []
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
            stream = StepStream(self._make, self._reached, self._seed, self._gang.rank, self._collate)
            self._steps = _from_a_process(stream) if self._own_process else _from_a_thread(stream)
        step = next(self._steps)
        self.waited += time.perf_counter() - begin
        return step

    def _all_have(self, batch: Batch | None) -> bool:
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
            worker_init_fn=_begin,
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


def _begin(worker: int) -> None:
    # torch's own check does not end a worker that has read steps which nobody takes any more: it waits for
    # them to be taken, with all memory that the corpora take.
    end_with_parent()

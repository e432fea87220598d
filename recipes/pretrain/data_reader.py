"""A data reader of fairseq2 for batches of the pipeline: it reads ahead and can resume at any step."""

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
"""Function that collates clips into a batch, given the bar phase of their starts and a random generator."""


@dataclass(frozen=True)
class StreamStep:
    """The result of reading one planned step."""

    batch: Batch | None
    """None if no clip was usable, at the end of an epoch, and after an error."""
    state: Mapping[str, Any]
    """State of the mixture after this step."""
    epoch_over: bool = False
    error: Exception | None = None


class StepStream(IterableDataset[StreamStep]):
    """Endless steps of a mixture, epoch after epoch, for a reading process.

    Args:
        make_mixture: function that creates the mixture in the reading process.
        start: initial state of the mixture.
        seed: seed of random choices in a batch.
        rank: rank of this process.
        collate: function that creates the batches.
    """

    def __init__(
        self,
        make_mixture: Callable[[], Mixture],
        start: Mapping[str, Any],
        seed: int,
        rank: int,
        collate: Collate,
    ) -> None:
        self._make_mixture, self._start = make_mixture, start
        self._seed, self._rank, self._collate = seed, rank, collate

    def __iter__(self) -> Iterator[StreamStep]:
        mixture = self._make_mixture()
        mixture.load_state_dict(self._start)
        while True:
            try:
                examples = mixture.next_step()
            except StopIteration:
                mixture.reset()
                yield StreamStep(None, mixture.state_dict(), epoch_over=True)
                continue
            except (DataError, AudioError) as error:
                # Raised by the reader: an exception from a DataLoader worker includes the worker's traceback.
                yield StreamStep(None, mixture.state_dict(), error=error)
                return
            state = mixture.state_dict()
            yield StreamStep(self._batch(examples, state) if examples else None, state)

    def _batch(self, examples: list[Example], state: Mapping[str, Any]) -> Batch:
        step = [self._seed, state["epoch"], state["position"]]
        # Equal on all ranks, whose clips are negatives of each other.
        phase = float(np.random.default_rng(step).random())
        return self._collate(examples, phase, np.random.default_rng([*step, 1 + self._rank]))


class PretrainReader(DataReader[Batch]):
    """Read a mixture of corpora ahead of the training.

    Args:
        make_mixture: function that creates the mixture of this rank.
        gang: ranks that train together. A step is skipped on all ranks if one has no batch.
        seed: seed of random choices in a batch.
        accumulate: batches per step.
        collate: function that creates the batches.
        own_process: whether to read in a separate process. A thread competes with the training for Python's
            global lock, and steps took two to three times as long.
    """

    def __init__(
        self,
        make_mixture: Callable[[], Mixture],
        gang: Gang,
        seed: int,
        accumulate: int = 1,
        collate: Collate = collate,
        own_process: bool = False,
    ) -> None:
        self._make_mixture, self._gang, self._seed = make_mixture, gang, seed
        self._accumulate, self._collate, self._own_process = accumulate, collate, own_process
        # Never read from; it provides the initial state and checks states of other runs.
        self._plan = make_mixture()
        self._state: Mapping[str, Any] = self._plan.state_dict()
        self._steps: Iterator[StreamStep] | None = None
        self._epoch_over = False
        self.wait_seconds = 0.0
        """Total time spent waiting for batches."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Batch]:
        """Return the next batches; raise ``StopIteration`` if the epoch has fewer left.

        Raises:
            DataError: too many consecutive clips are unusable.
        """
        batches: list[Batch] = []
        while len(batches) < self._accumulate:
            step = self._next_step()
            self._state = step.state
            if step.error is not None:
                raise step.error
            if step.epoch_over:
                self._epoch_over = True
                raise StopIteration
            if self._all_ranks_have(step.batch) and step.batch is not None:
                batches.append(step.batch)
        return batches

    def reset(self) -> None:
        """Go to the first batch of the next epoch; after a complete epoch the stream is already there."""
        if not self._epoch_over:
            self._plan.load_state_dict(self._state)
            self._plan.reset()
            self._state, self._steps = self._plan.state_dict(), None
        self._epoch_over = False

    def state_dict(self) -> dict[str, object]:
        """State after the last returned batch, without the batches that were read ahead."""
        return dict(self._state)

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Resume at the state of another reader.

        Raises:
            DataError: the state is that of other data.
        """
        self._plan.load_state_dict(state_dict)
        self._state, self._steps = dict(state_dict), None

    @property
    def num_accumulate(self) -> int:
        """Batches per step."""
        return self._accumulate

    def _next_step(self) -> StreamStep:
        start = time.perf_counter()
        if self._steps is None:
            stream = StepStream(self._make_mixture, self._state, self._seed, self._gang.rank, self._collate)
            self._steps = _read_in_process(stream) if self._own_process else _read_in_thread(stream)
        step = next(self._steps)
        self.wait_seconds += time.perf_counter() - start
        return step

    def _all_ranks_have(self, batch: Batch | None) -> bool:
        if self._gang.size == 1:
            return batch is not None
        has_batch = torch.tensor(float(batch is not None), device=self._gang.device)
        self._gang.all_reduce(has_batch, ReduceOperation.MIN)
        return bool(has_batch)


def _read_in_process(stream: StepStream) -> Iterator[StreamStep]:
    # spawn: torch's threads do not survive a fork.
    return iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=1,
            prefetch_factor=2,
            collate_fn=_identity,
            worker_init_fn=_init_worker,
            multiprocessing_context="spawn",
        )
    )


def _read_in_thread(stream: StepStream) -> Iterator[StreamStep]:
    """Read one step ahead in a thread."""
    steps = iter(stream)
    with ThreadPoolExecutor(1, "step-ahead") as thread:
        ahead = thread.submit(next, steps)
        while True:
            step = ahead.result()
            if step.error is None:
                ahead = thread.submit(next, steps)
            yield step
            if step.error is not None:
                return


def _identity(step: Any) -> Any:
    return step


def _init_worker(worker: int) -> None:
    # torch does not end a worker whose queue is full when its parent dies.
    end_with_parent()

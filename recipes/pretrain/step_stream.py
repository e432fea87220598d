"""The steps of a run's data, one after the other, epoch after epoch: what a process of its own reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from motion_data.errors import DataError
from motion_data.pipeline.mixture import Mixture
from motionbeat_upstream.audio import AudioError
from recipes.pretrain.batch import PretrainBatch, pretrain_batch


@dataclass(frozen=True)
class Step:
    """What was planned as a step, as it came out."""

    batch: PretrainBatch | None
    """None where not one clip could be used, where the epoch is over, and where reading failed."""
    reached: Mapping[str, Any]
    """Where the mixture stands after it."""
    epoch_over: bool = False
    failure: Exception | None = None


class StepStream(IterableDataset[Step]):
    """Endless steps of a mixture, from a certain one on.

    Args:
        make: gives the mixture; called where it is read.
        start: where it is to begin.
        seed: of what is left to chance.
        rank: of this process among those that train together.
        rolled: give each clip its motion rolled at random.
    """

    def __init__(
        self, make: Callable[[], Mixture], start: Mapping[str, Any], seed: int, rank: int, rolled: bool
    ) -> None:
        self._make, self._start = make, start
        self._seed, self._rank, self._rolled = seed, rank, rolled

    def __iter__(self) -> Iterator[Step]:
        mixture = self._make()
        mixture.load_state_dict(self._start)
        while True:
            try:
                batch = mixture.next_step()
            except StopIteration:
                mixture.reset()
                yield Step(None, mixture.state_dict(), epoch_over=True)
                continue
            except (DataError, AudioError) as error:
                # Raised where it is awaited: from another process it would come with that one's traceback.
                yield Step(None, mixture.state_dict(), failure=error)
                return
            reached = mixture.state_dict()
            yield Step(None if batch is None else self._laid(batch, reached), reached)

    def _laid(self, batch: Any, reached: Mapping[str, Any]) -> PretrainBatch:
        step = [self._seed, reached["epoch"], reached["position"]]
        # The same on all ranks, whose clips are each other's negatives.
        place = float(np.random.default_rng(step).random())
        rng = np.random.default_rng([*step, 1 + self._rank])
        return pretrain_batch(batch, place, rng, self._rolled)

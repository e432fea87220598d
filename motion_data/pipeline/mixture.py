"""Batches from several corpora, each batch from one of them.

Negatives are drawn within a batch, so a batch must not tell its corpora apart by studio, body or sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from motion_data.errors import DataError
from motion_data.pipeline.example import Example
from motion_data.pipeline.reader import ClipReader


class Mixture:
    """Readers taken in an order drawn for each epoch, in which every batch of each comes once.

    Args:
        readers: of the same split and settings, one a corpus.
        seed: of the order; the same on all ranks, which then read the same corpus at each step.
    """

    def __init__(self, readers: Sequence[ClipReader], seed: int) -> None:
        self._readers = tuple(readers)
        self._seed = seed
        self._epoch = self._position = 0
        self._order = self._draw()

    def next_step(self) -> list[Example]:
        """What was planned as the next batch; empty where not one of its clips could be used.

        Raises:
            StopIteration: the epoch is over.
            DataError: too many clips in a row could not be used.
        """
        if self._position == len(self._order):
            raise StopIteration
        examples = self._readers[self._order[self._position]].next_step()
        self._position += 1
        return examples

    def __len__(self) -> int:
        """Steps of this epoch."""
        return len(self._order)

    def reset(self) -> None:
        """Go to the first batch of the next epoch, unless this one has not been begun."""
        if self._position or not self._order:
            for reader in self._readers:
                reader.reset()
            self._epoch, self._position = self._epoch + 1, 0
            self._order = self._draw()

    def state_dict(self) -> dict[str, Any]:
        """Where the reading stands, and what it depends on."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "readers": [reader.state_dict() for reader in self._readers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another mixture stood.

        Raises:
            DataError: other corpora, splits, ranks or settings.
        """
        if len(state["readers"]) != len(self._readers):
            raise DataError(
                f"a run cannot go on with {len(self._readers)} corpora: it began with "
                f"{len(state['readers'])}; restore them, or begin anew"
            )
        for reader, reached in zip(self._readers, state["readers"], strict=True):
            reader.load_state_dict(reached)
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        self._order = self._draw()

    def _draw(self) -> list[int]:
        steps = np.repeat(np.arange(len(self._readers)), [reader.steps for reader in self._readers])
        rng = np.random.default_rng([self._seed, self._epoch])
        order: list[int] = rng.permutation(steps).tolist()
        return order

"""The hard negatives of a batch: recipes drawn from its clips, for ``Batch.negatives``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from motion_data.negatives.descriptor import describe
from motion_data.negatives.drawing import Wanted, draw_negatives
from motion_data.negatives.recipe import Negative
from motion_data.pipeline.example import Example


class HardNegatives:
    """Draws the recipes of every clip that has a grid; give it to the reader as ``draw_negatives``."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        """See above.

        Args:
            wanted: how many of each kind; None for the defaults.
        """
        self._wanted = wanted or Wanted()

    def __call__(self, examples: Sequence[Example], rng: np.random.Generator) -> list[tuple[Negative, ...]]:
        """One entry a clip, empty for a clip without a grid; ``source`` counts the rows of the batch."""
        rows, descriptors = [], []
        for row, example in enumerate(examples):
            if example.grid is not None:
                rows.append(row)
                pair, motion = example.pair, example.motion
                descriptors.append(describe(pair.piece, pair.take, motion, example.grid, example.seconds))
        drawn: list[tuple[Negative, ...]] = [()] * len(examples)
        for row, one in zip(rows, draw_negatives(descriptors, rng, self._wanted), strict=True):
            drawn[row] = tuple(replace(negative, source=rows[negative.source]) for negative in one)
        return drawn

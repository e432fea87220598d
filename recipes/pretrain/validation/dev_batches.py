"""The clips that a run is validated on: the same at every validation, kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from fairseq2.datasets import DataReader
from fairseq2.device import SupportsDeviceTransfer
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.negatives.drawing import Wanted
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.negatives import HardNegatives
from motion_data.pipeline.reader import ClipReader
from motionbeat_upstream.nn.grid import Grid
from recipes.pairing.hard_retrieval import negative_kinds
from recipes.pairing.own_grids import motion_grids
from recipes.pretrain.batch import PretrainBatch, pretrain_batch

PLACE = 0.4
"""Share of a bar at which every clip begins on the grid that it is shown on: one, so that clips of
different batches can be compared."""

APART = 10_000_000
"""More than any corpus has pieces or takes."""

WANTED = Wanted(jittered=3, stretched=1, others=1, seamless=True)
"""Hard negatives: the own motion is one of six."""


@dataclass
class DevBatch(SupportsDeviceTransfer):
    """A batch, and what only a validation asks for."""

    batch: PretrainBatch
    kinds: list[tuple[str, float]]
    """Kind and amount of every hard negative, in the order of its rows."""
    beats: tuple[NDArray[np.float64], ...]
    """(B,) the beats of the pairs' own grids; none where there is no grid."""
    motion_grids: tuple[Grid, ...]
    """(B,) the own motions' own grids."""

    def to(self, device: torch.device, *, non_blocking: bool = False) -> None:
        """Move the batch, in place."""
        self.batch.to(device, non_blocking=non_blocking)


class DevReader(DataReader[DevBatch]):
    """Reads the first clips of the dev split. Every rank reads them all, and finds the same figures.

    Args:
        corpora: whose splits are read, as many clips of each. One without such a split is passed over.
        settings: of the training's pipeline.
        clips: to read in all, about.
        split: dev, or test once a run is over.

    Raises:
        DataError: no corpus has such a split.
    """

    def __init__(
        self, corpora: Sequence[Corpus], settings: PipelineConfig, clips: int, split: str = "dev"
    ) -> None:
        held = [corpus for corpus in corpora if corpus.split(split)]
        if not held:
            raise DataError(
                f"no corpus has a {split} split to validate on; prepare one, or set validation.clips to 0"
            )
        settings = replace(settings, same_every_epoch=True, clips_per_pair=1, speed_octaves=0.0)
        self._readers = [
            ClipReader(corpus, split, settings, draw_negatives=HardNegatives(WANTED)) for corpus in held
        ]
        self._clips = -(-clips // len(held))
        self._batches: list[DevBatch] | None = None
        self._place = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[DevBatch]:
        """The next batch; ``StopIteration`` after the last."""
        if self._batches is None:
            self._batches = self._read()
        if self._place == len(self._batches):
            raise StopIteration
        self._place += 1
        return [self._batches[self._place - 1]]

    def reset(self) -> None:
        """Go to the first batch."""
        self._place = 0

    def state_dict(self) -> dict[str, object]:
        """Nothing: a validation is never begun in its middle."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Nothing, as above."""

    @property
    def num_accumulate(self) -> int:
        """Batches a step."""
        return 1

    def _read(self) -> list[DevBatch]:
        batches: list[DevBatch] = []
        for corpus, reader in enumerate(self._readers):
            count = 0
            for batch in reader:
                kinds = negative_kinds(batch.negatives)
                beats = tuple(np.empty(0) if grid is None else grid.beats for grid in batch.grids)
                laid = pretrain_batch(batch, PLACE, np.random.default_rng(len(batches)))
                # Pieces and takes are numbered by corpus, and here several of them meet.
                laid.pieces, laid.takes = laid.pieces + corpus * APART, laid.takes + corpus * APART
                batches.append(DevBatch(laid, kinds, beats, motion_grids(batch)))
                count += len(batch)
                if count >= self._clips:
                    break
        return batches

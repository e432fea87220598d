"""Pairs in batches of like tempo and metre, with the motions laid out on the frames of the music."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.negatives.drawing import Wanted
from motion_data.pipeline.batch import collate
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import cut_example
from motion_data.pipeline.material import Materials
from motion_data.pipeline.negatives import HardNegatives
from motion_data.pipeline.plan import plan_epoch
from motion_data.pipeline.stages import StageClock
from motionbeat_upstream.nn.grid import Grid
from motionbeat_upstream.nn.music_tower import estimate_grid
from recipes.pairing.hard_retrieval import negative_kinds
from recipes.pairing.motion_rows import MotionRows, motion_rows, shared_grids
from recipes.pairing.onset_curve import onset_curve
from recipes.pairing.own_grids import motion_grids
from recipes.pairing.silence import noise

PLACE = 0.4
"""Share of a bar at which every clip begins on the grid that it is shown on: the same for all, so that the
place alone tells no pair."""

TRAINED_ON = Wanted(jittered=2, stretched=1, others=0, seamless=True)
"""Hard negatives of a training step, for each clip."""

TESTED_ON = Wanted(jittered=3, stretched=1, others=1, seamless=True)
"""Hard negatives of an evaluation: the own motion is one of six."""


@dataclass(frozen=True)
class Tested:
    """What only an evaluation asks for: each side's own beats, and what needs no learning."""

    music: tuple[Grid, ...]
    """(B,) estimated from the onsets of the audio, the same for every upstream."""
    motion: tuple[Grid, ...]
    """(B,) from the motion's touch-downs and halts."""
    onsets: Tensor
    """(B, F) onsets of the audio on the frames of the motions, in [0, 1]."""


@dataclass(frozen=True)
class PairBatch:
    """B clips without their sound; the first B motions are their own."""

    frames: Tensor
    """(B,) int64 frames of 20 ms."""
    grids: tuple[Grid, ...]
    """(B,) that music and motion are both shown on."""
    rows: MotionRows
    kinds: list[tuple[str, float]]
    """Kind and amount of every hard negative, in the order of its rows."""
    pieces: Tensor
    """(B,) int64."""
    takes: Tensor
    """(B,) int64."""
    names: tuple[str, ...]
    tested: Tested | None
    """In an evaluation; the audio then comes twice, the second time as noise."""

    def __len__(self) -> int:
        return len(self.names)


class PairBatches(Dataset[tuple[list[Tensor], list[PairBatch]]]):
    """The batches of one epoch of a split.

    Args:
        corpus: a prepared one.
        split: of it.
        settings: how clips are cut and put into batches.
        materials: give the sound and the motion of its pairs.
        epoch: from 0.
        testing: whether each side's own grid and the silence test are asked for.
        most: clips at most, in whole batches.

    Raises:
        DataError: too few pairs for a batch.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        settings: PipelineConfig,
        materials: Materials,
        epoch: int,
        testing: bool,
        most: int | None = None,
    ) -> None:
        self._corpus, self._settings, self._materials = corpus, settings, materials
        self._epoch, self._testing = epoch, testing
        pairs = [(index, pair) for index, pair in enumerate(corpus.pairs) if pair.split == split]
        plan = plan_epoch(pairs, settings, epoch)
        sizes = np.cumsum([len(batch) for batch in plan])
        self._plan = plan[: len(plan) if most is None else 1 + int(np.searchsorted(sizes, most))]
        if not self._plan:
            raise DataError(
                f"{corpus.folder}: {len(pairs)} pairs of {split} make no batch of {settings.least_clips} "
                f"clips of like tempo; prepare more, or widen datarc.tempo_octaves"
            )

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, index: int) -> tuple[list[Tensor], list[PairBatch]]:
        clock, settings = StageClock(), self._settings
        examples = [
            cut_example(self._materials, self._corpus.pairs[draw.pair], draw, settings, self._epoch, clock)
            for draw in self._plan[index]
        ]
        rng = np.random.default_rng([settings.seed, self._epoch, index])
        negatives = tuple(HardNegatives(TESTED_ON if self._testing else TRAINED_ON)(examples, rng))
        limbs = tuple(sorted({limb for pair in self._corpus.pairs for limb in pair.pulses}))
        batch = collate(
            examples,
            limbs,
            self._corpus.piece_numbers(),
            self._corpus.take_numbers(),
            settings.fps,
            negatives,
        )
        wavs = [example.wav for example in examples]
        tested = None
        if self._testing:
            tested = Tested(
                tuple(estimate_grid(wav) for wav in wavs),
                motion_grids(batch),
                onset_curve(batch.wav, batch.wav_lengths),
            )
            generator = torch.Generator().manual_seed(index)
            blank = noise(batch.wav, batch.wav_lengths, generator)
            wavs = wavs + [row[: len(wav)] for row, wav in zip(blank, wavs, strict=True)]
        laid = PairBatch(
            batch.feature_lengths,
            shared_grids(batch, PLACE),
            motion_rows(batch, PLACE, rng),
            negative_kinds(negatives),
            batch.pieces,
            batch.takes,
            batch.names,
            tested,
        )
        return wavs, [laid]

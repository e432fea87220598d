"""One clip: a stretch of a pair with its sound, motion, grid and labels on one clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from motion_data.labels import Labels
from motion_data.loading import LoadedPair
from motion_data.motion import Motion
from motion_data.negatives.descriptor import describe
from motion_data.negatives.drawing import Wanted, draw_negatives
from motion_data.negatives.recipe import Negative
from motion_data.pair import MotionPair
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.plan import Draw
from motion_data.pipeline.windows import choose_window, relative_grid
from motion_data.stages import stage
from motionbeat_upstream.beats.grid import Grid, without_gaps
from motionbeat_upstream.config import SAMPLE_RATE


@dataclass(frozen=True)
class Example:
    """A clip; all times are seconds from its first sample."""

    pair: MotionPair
    start: float
    """Seconds of the pair, played at its own speed, at which the clip begins."""
    wav: Tensor
    """(T,) float32 at 16 kHz."""
    motion: Motion
    """Joints and touch-downs, with what lies up to ``margin_seconds`` around the clip."""
    grid: Grid | None
    """None where the corpus knows no beats."""
    labels: Labels = field(default_factory=Labels)
    numbers: tuple[int, int] = (0, 0)
    """Of the pair's piece and take: clips that share one are no negatives of each other."""
    negatives: tuple[Negative, ...] = ()
    """Recipes of hard negatives, whose ``source`` counts the clips of the batch."""

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.wav) / SAMPLE_RATE

    @property
    def own_motion(self) -> Motion:
        """The motion without what lies around the clip."""
        return self.motion.between(0.0, self.seconds)


def cut_example(
    loaded: LoadedPair, draw: Draw, config: PipelineConfig, epoch: int, numbers: tuple[int, int]
) -> Example:
    """Cut the clip that was planned; the same one whenever it is asked for.

    A clip begins on a frame of the motion, less than a frame before its bar phase, so that no
    motion has to be shifted by part of a frame.

    Args:
        loaded: the pair at ``config.fps``, as fast as it is to be played.
        draw: its index, and which of the epoch's clips of it.
        config: of the pipeline.
        epoch: counted from 0.
        numbers: of the pair's piece and take.

    Raises:
        DataError: a pair that is too short, or sound that is not what it should be.
        AudioError: sound that cannot be read.
    """
    motion, (low, high) = loaded.motion, loaded.shared
    with stage("window"):
        rng = np.random.default_rng([config.seed, epoch, draw.pair, draw.number])
        phase = rng.random() if config.start_place is None else config.start_place
        begin, end = choose_window(loaded.grid, low, high, config, rng, phase)
        if motion.names:
            begin = _on_a_frame(motion, begin, low)
        first, last = round(begin * SAMPLE_RATE), min(round(end * SAMPLE_RATE), round(high * SAMPLE_RATE))
    wav = loaded.samples(first, last)
    with stage("cut"):
        start, stop = first / SAMPLE_RATE, (first + len(wav)) / SAMPLE_RATE
        return Example(
            pair=loaded.pair,
            start=start * loaded.speed,
            wav=wav,
            motion=motion.between(start, stop, config.margin_seconds),
            grid=None if loaded.grid is None else relative_grid(without_gaps(loaded.grid), start, stop),
            labels=loaded.labels.between(start, stop),
            numbers=numbers,
        )


def with_negatives(examples: Sequence[Example], wanted: Wanted, rng: np.random.Generator) -> list[Example]:
    """The clips of a batch with recipes of hard negatives; those without a grid get none.

    Args:
        examples: of the batch.
        wanted: how many of each kind.
        rng: draws them; the same ones for the same clips and generator.
    """
    with stage("negatives"):
        rows, descriptors = [], []
        for row, example in enumerate(examples):
            if example.grid is not None:
                rows.append(row)
                pair = example.pair
                descriptors.append(
                    describe(pair.piece, pair.take, example.motion, example.grid, example.seconds)
                )
        whole = list(examples)
        for row, drawn in zip(rows, draw_negatives(descriptors, rng, wanted), strict=True):
            negatives = tuple(replace(negative, source=rows[negative.source]) for negative in drawn)
            whole[row] = replace(whole[row], negatives=negatives)
        return whole


def _on_a_frame(motion: Motion, begin: float, low: float) -> float:
    """The time of the frame at or before ``begin``, or of the one after it if that lies before ``low``."""
    frame = math.floor((begin - motion.start) * motion.fps + 1e-6)
    if motion.start + frame / motion.fps < low - 1e-9:
        frame += 1
    return max(low, motion.start + frame / motion.fps)

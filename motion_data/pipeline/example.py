"""Clips: excerpts of pairs with sound, motion, grid and labels on one clock.

A clip has a number of bars from a given bar phase on, or a length in seconds from a random time on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from motion_data.errors import DataError
from motion_data.labels import Labels
from motion_data.loading import LoadedPair
from motion_data.motion import Motion
from motion_data.negatives.descriptor import describe
from motion_data.negatives.drawing import NegativeCounts, draw_negatives
from motion_data.negatives.recipe import Negative
from motion_data.pair import MotionPair
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.plan import PlannedClip
from motion_data.stages import stage
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.tracking.grid import Grid, beats_to_bars, fill_gaps


@dataclass(frozen=True)
class Example:
    """A clip; all times are seconds from its first sample."""

    pair: MotionPair
    start: float
    """Start of the clip in seconds of the pair at its original speed."""
    wav: Tensor
    """(T,) float32 at 16 kHz."""
    motion: Motion
    """Joints and touch-downs, with a margin of up to ``margin_seconds`` around the clip."""
    grid: Grid | None
    """None if there are no known beats."""
    labels: Labels = field(default_factory=Labels)
    group_ids: tuple[int, int] = (0, 0)
    """Ids of the pair's piece and take: clips that share one are not negatives of each other."""
    negatives: tuple[Negative, ...] = ()
    """Recipes of hard negatives; their ``source`` is an index of a clip in the batch."""

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return len(self.wav) / SAMPLE_RATE

    @property
    def clip_motion(self) -> Motion:
        """The motion without the margin."""
        return self.motion.between(0.0, self.seconds)


def cut_example(
    loaded: LoadedPair, draw: PlannedClip, config: PipelineConfig, epoch: int, group_ids: tuple[int, int]
) -> Example:
    """Cut a planned clip; deterministic.

    A clip begins at a frame of the motion, less than a frame before its bar phase, so that motions are not
    shifted by fractions of a frame.

    Args:
        loaded: the pair at ``config.fps`` and at the speed of the batch.
        draw: the planned clip.
        config: settings of the pipeline.
        epoch: epoch, from 0.
        numbers: of the pair's piece and take.

    Raises:
        DataError: the pair is too short, or its sound is damaged.
        AudioError: the sound cannot be read.
    """
    motion, (low, high) = loaded.motion, loaded.overlap
    with stage("window"):
        rng = np.random.default_rng([config.seed, epoch, draw.pair_index, draw.number_in_pair])
        phase = rng.random() if config.start_place is None else config.start_place
        begin, end = choose_window(loaded.grid, low, high, config, rng, phase)
        if motion.names:
            begin = _snap_to_frame(motion, begin, low)
        first, last = round(begin * SAMPLE_RATE), min(round(end * SAMPLE_RATE), round(high * SAMPLE_RATE))
    wav = loaded.samples(first, last)
    with stage("cut"):
        start, stop = first / SAMPLE_RATE, (first + len(wav)) / SAMPLE_RATE
        return Example(
            pair=loaded.pair,
            start=start * loaded.speed,
            wav=wav,
            motion=motion.between(start, stop, config.margin_seconds),
            grid=None if loaded.grid is None else relative_grid(fill_gaps(loaded.grid), start, stop),
            labels=loaded.labels.between(start, stop),
            group_ids=group_ids,
        )


def with_negatives(
    examples: Sequence[Example], counts: NegativeCounts, rng: np.random.Generator
) -> list[Example]:
    """Add recipes of hard negatives to the clips of a batch; clips without a grid get none.

    Args:
        examples: the clips of a batch.
        counts: number of negatives of each kind per clip.
        rng: generator; the result is the same for the same clips and generator state.
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
        result = list(examples)
        for row, recipes in zip(rows, draw_negatives(descriptors, rng, counts), strict=True):
            negatives = tuple(replace(negative, source=rows[negative.source]) for negative in recipes)
            result[row] = replace(result[row], negatives=negatives)
        return result


def _snap_to_frame(motion: Motion, begin: float, low: float) -> float:
    """Time of the frame at or before ``begin``, or of the next one if that is before ``low``."""
    frame = math.floor((begin - motion.start) * motion.fps + 1e-6)
    if motion.start + frame / motion.fps < low - 1e-9:
        frame += 1
    return max(low, motion.start + frame / motion.fps)


BAR_TOLERANCE_SECONDS = 1e-3
"""A bar may exceed the sound by this much, since lengths in manifests are rounded."""


def choose_window(
    grid: Grid | None,
    start: float,
    stop: float,
    config: PipelineConfig,
    rng: np.random.Generator,
    phase: float = 0.0,
) -> tuple[float, float]:
    """Choose a random window of a pair.

    With a grid its length is ``config.bars`` bars, or fewer if they exceed ``config.longest_seconds`` or the
    pair has fewer. Without a grid its length is ``config.seconds``, or that of the pair if it is shorter.

    Args:
        grid: grid of the pair, or None.
        start: start of the overlap of sound and motion in seconds.
        stop: end of the overlap.
        config: settings of the pipeline.
        rng: draws the start.
        phase: bar phase at which the window begins, in [0, 1); 0 is a downbeat.

    Returns:
        Start and stop in seconds of the pair.

    Raises:
        DataError: the overlap is shorter than ``config.shortest_seconds``, or contains no whole bar.
    """
    if stop - start < config.shortest_seconds:
        raise DataError(
            f"sound and motion share {max(0.0, stop - start):.2f} s; a clip needs "
            f"{config.shortest_seconds:g} s (shortest_seconds)"
        )
    if config.bars is None or grid is None:
        length = min(config.seconds, stop - start)
        begin = start + rng.random() * (stop - start - length)
        return begin, begin + length
    windows = [
        window
        for window in _bar_windows(grid, start, stop, config, phase)
        if window[1] - window[0] >= config.shortest_seconds
    ]
    if not windows:
        raise DataError(
            f"no whole bar of {config.shortest_seconds:g} to {config.longest_seconds:g} s between "
            f"{start:.2f} s and {stop:.2f} s; check the grid, or set bars to null"
        )
    return windows[rng.integers(len(windows))]


def relative_grid(grid: Grid, start: float, stop: float) -> Grid:
    """Cut the grid of a pair to a clip from ``start`` to ``stop``, on the clip's clock.

    Bars at both ends are kept whole if the pair contains them.
    """
    downbeats = np.flatnonzero(grid.positions == 1)
    times = grid.beats[downbeats]
    before, after = downbeats[times <= start], downbeats[times >= stop]
    first = int(before[-1]) if len(before) else 0
    last = int(after[0]) if len(after) else len(grid.beats) - 1
    if last == first:  # the clip lies before the first beat, or after the last
        first, last = (first, first + 1) if first + 1 < len(grid.beats) else (first - 1, first)
    inside = slice(first, last + 1)
    return replace(grid, beats=grid.beats[inside] - start, positions=grid.positions[inside])


def _bar_windows(
    grid: Grid, start: float, stop: float, config: PipelineConfig, phase: float
) -> list[tuple[float, float]]:
    """All windows with the greatest number of bars, up to ``config.bars``, that fits."""
    assert config.bars is not None
    edges = _bar_edges(grid) if phase == 0 else _phase_times(grid, phase)
    edges = edges[(edges >= start - BAR_TOLERANCE_SECONDS) & (edges <= stop + BAR_TOLERANCE_SECONDS)]
    for count in range(min(config.bars, len(edges) - 1), 0, -1):
        windows = [
            (max(start, float(first)), min(stop, float(last)))
            for first, last in zip(edges, edges[count:], strict=False)
            if last - first <= config.longest_seconds
        ]
        if windows:
            return windows
    return []


def _bar_edges(grid: Grid) -> NDArray[np.float64]:
    """The downbeats, and the end of the last bar if its last beat is known."""
    turns, step = beats_to_bars(grid)
    downbeats = grid.downbeats
    closes = turns[-1] + step[-1]
    if not len(downbeats) or abs(closes - round(closes)) > 1e-6:
        return downbeats
    end = grid.beats[-1] + (grid.beats[-1] - grid.beats[-2])
    return np.append(downbeats, end)


def _phase_times(grid: Grid, phase: float) -> NDArray[np.float64]:
    """The times of a bar phase in each bar, between the first and the last beat."""
    turns, _ = beats_to_bars(grid)
    phases = np.arange(np.ceil(turns[0] - phase), np.floor(turns[-1] - phase) + 1) + phase
    return np.interp(phases, turns, grid.beats)

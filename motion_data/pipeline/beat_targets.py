"""Targets of beat heads, frame by frame at 50 Hz, from grids [O]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from motionbeat_upstream.config import FRAME_RATE
from motionbeat_upstream.tracking.grid import Grid

PULSE_KERNEL = (0.1353, 0.6065, 1.0, 0.6065, 0.1353)
"""A pulse of a target reaches over its neighbours, a Gaussian of one frame (20 ms): nobody dances or
annotates to the frame, and a head that is off by one should be told that it is near [O]."""

MIN_CONFIDENCE = 0.9
"""Confidence of a grid from which on its beats, or its bars, are trained on: an estimate that may be wrong
would only teach the heads what estimated it."""


@dataclass
class BeatTargets:
    """Targets of B clips of up to F frames at 50 Hz; mutable, as batches are moved in place."""

    beat: Tensor
    """(B, F) 1 in the frames that hold a beat, else 0."""
    downbeat: Tensor
    """(B, F) the same for downbeats."""
    position: Tensor
    """(B, F) int64 position in the bar, from 1, of the last beat before a frame's centre; 0 if unknown, as it
    is before a grid's first beat and a beat after its last one."""
    metre: Tensor
    """(B,) int64 beats a bar; 0 where unknown."""
    tempo: Tensor
    """(B, F) float32 beats per minute; 0 where unknown."""
    has_beats: Tensor
    """(B,) bool, whether a clip's beats are known."""

    @property
    def has_bars(self) -> Tensor:
        """(B,) bool, whether a clip's bars are known."""
        return self.metre > 0

    @property
    def has_downbeats(self) -> Tensor:
        """(B,) bool, whether a clip's downbeats are known; where it has no beats, it has no downbeats."""
        return self.has_bars | (self.has_beats & (self.beat.sum(1) == 0))


def beat_targets(
    grids: Sequence[Grid | None], lengths: Sequence[int], no_beats: Sequence[bool] = ()
) -> BeatTargets:
    """Targets from grids.

    Args:
        grids: of each clip, None where its beats are unknown, as they are where its ``confidence`` is below
            ``MIN_CONFIDENCE``; so are bars by its ``downbeat_confidence``.
        lengths: frames of each clip.
        no_beats: of each clip without a grid, whether it is known to have no beats; by default none is.
    """
    size = max(lengths)
    silent = no_beats or [False] * len(grids)
    targets = BeatTargets(
        beat=torch.zeros(len(grids), size),
        downbeat=torch.zeros(len(grids), size),
        position=torch.zeros(len(grids), size, dtype=torch.int64),
        metre=torch.zeros(len(grids), dtype=torch.int64),
        tempo=torch.zeros(len(grids), size),
        has_beats=torch.tensor(
            [
                none if grid is None else grid.confidence >= MIN_CONFIDENCE
                for grid, none in zip(grids, silent, strict=True)
            ]
        ),
    )
    for row, (grid, length) in enumerate(zip(grids, lengths, strict=True)):
        if grid is None or grid.confidence < MIN_CONFIDENCE:
            continue
        targets.beat[row, :length] = frame_targets(_times_inside(grid.beats, length), length, FRAME_RATE)
        centre = (np.arange(length) + 0.5) / FRAME_RATE
        last = np.searchsorted(grid.beats, centre, side="right") - 1
        between = (last >= 0) & (last < len(grid.beats) - 1)
        bpm = 60.0 / np.diff(grid.beats)[np.clip(last, 0, len(grid.beats) - 2)]
        targets.tempo[row, :length] = torch.from_numpy(np.where(between, bpm, 0.0))
        if grid.downbeat_confidence >= MIN_CONFIDENCE:
            targets.metre[row] = grid.metre
            targets.downbeat[row, :length] = frame_targets(
                _times_inside(grid.downbeats, length), length, FRAME_RATE
            )
            sounding = (last >= 0) & (centre < 2 * grid.beats[-1] - grid.beats[-2])
            position = np.where(sounding, grid.positions[np.clip(last, 0, None)], 0)
            targets.position[row, :length] = torch.from_numpy(position)
    return targets


def frame_targets(times: ArrayLike, frames: int, frame_rate: float) -> Tensor:
    """Ones at the frames that hold the given times, (T,) float32.

    Frame k holds the times from k to k + 1 frames. A time within a frame after the end goes to the
    last frame: features can be a frame shorter than the audio. Later ones are left out.
    """
    index = np.floor(np.asarray(times, dtype=np.float64) * frame_rate).astype(np.int64)
    index = np.minimum(index[(index >= 0) & (index <= frames)], frames - 1)
    targets = torch.zeros(frames)
    targets[torch.from_numpy(index)] = 1.0
    return targets


def spread_pulses(pulses: Tensor) -> Tensor:
    """(B, F) pulses in [0, 1], each reaching over its neighbours; at most 1."""
    kernel = pulses.new_tensor(PULSE_KERNEL)
    return F.conv1d(pulses[:, None], kernel[None, None], padding=len(PULSE_KERNEL) // 2)[:, 0].clamp(max=1)


def _times_inside(times: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    return times[(times >= 0) & (times < frames / FRAME_RATE)]

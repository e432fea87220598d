"""Frame targets of beat heads at 50 Hz, from grids [O]."""

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
"""Weights of a pulse and its neighbouring frames: a Gaussian with a standard deviation of one frame (20 ms).
Dances and annotations are not exact to the frame, and an error of one frame should cost less [O]."""

MIN_CONFIDENCE = 0.9
"""Beats and bars of a grid are targets only above this confidence. From uncertain estimates, the heads would
learn the estimator's errors."""


@dataclass
class BeatTargets:
    """Targets of B clips of up to F frames at 50 Hz; mutable because batches are moved in place."""

    beat: Tensor
    """(B, F) 1 in frames that contain a beat, else 0."""
    downbeat: Tensor
    """(B, F) 1 in frames that contain a downbeat, else 0."""
    position: Tensor
    """(B, F) int64 position in the bar, from 1, of the last beat before a frame's centre; 0 if unknown:
    before the first beat of a grid, and more than a beat after its last."""
    metre: Tensor
    """(B,) int64 beats per bar; 0 if unknown."""
    tempo: Tensor
    """(B, F) float32 bpm; 0 if unknown."""
    has_beats: Tensor
    """(B,) bool: whether the beats of a clip are known."""

    @property
    def has_bars(self) -> Tensor:
        """(B,) bool: whether the bars of a clip are known."""
        return self.metre > 0

    @property
    def has_downbeats(self) -> Tensor:
        """(B,) bool: whether the downbeats of a clip are known, or it is known to have no beats."""
        return self.has_bars | (self.has_beats & (self.beat.sum(1) == 0))


def beat_targets(
    grids: Sequence[Grid | None], lengths: Sequence[int], no_beats: Sequence[bool] = ()
) -> BeatTargets:
    """Compute targets from grids.

    Args:
        grids: grid of each clip, or None. Beats with a ``confidence``, and bars with a
            ``downbeat_confidence``, below ``MIN_CONFIDENCE`` count as unknown.
        lengths: number of frames of each clip.
        no_beats: whether each clip without a grid is known to have no beats; False by default.
    """
    size = max(lengths)
    beatless = no_beats or [False] * len(grids)
    targets = BeatTargets(
        beat=torch.zeros(len(grids), size),
        downbeat=torch.zeros(len(grids), size),
        position=torch.zeros(len(grids), size, dtype=torch.int64),
        metre=torch.zeros(len(grids), dtype=torch.int64),
        tempo=torch.zeros(len(grids), size),
        has_beats=torch.tensor(
            [
                no_beats if grid is None else grid.confidence >= MIN_CONFIDENCE
                for grid, no_beats in zip(grids, beatless, strict=True)
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
            known = (last >= 0) & (centre < 2 * grid.beats[-1] - grid.beats[-2])
            position = np.where(known, grid.positions[np.clip(last, 0, None)], 0)
            targets.position[row, :length] = torch.from_numpy(position)
    return targets


def frame_targets(times: ArrayLike, frames: int, frame_rate: float) -> Tensor:
    """Return (T,) float32 with ones in the frames that contain the given times.

    Frame k covers the time from k to k + 1 frames. A time within one frame after the end is assigned to the
    last frame, since features can be a frame shorter than the audio. Later times are dropped.
    """
    index = np.floor(np.asarray(times, dtype=np.float64) * frame_rate).astype(np.int64)
    index = np.minimum(index[(index >= 0) & (index <= frames)], frames - 1)
    targets = torch.zeros(frames)
    targets[torch.from_numpy(index)] = 1.0
    return targets


def spread_pulses(pulses: Tensor) -> Tensor:
    """Convolve (B, F) pulses in [0, 1] with ``PULSE_KERNEL``, clamped to 1."""
    kernel = pulses.new_tensor(PULSE_KERNEL)
    return F.conv1d(pulses[:, None], kernel[None, None], padding=len(PULSE_KERNEL) // 2)[:, 0].clamp(max=1)


def _times_inside(times: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    return times[(times >= 0) & (times < frames / FRAME_RATE)]

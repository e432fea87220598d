"""Cut curves over time into beats and bars, each beat resampled to a fixed number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat_upstream.nn.beat_pooling import Overlaps, overlaps, pool
from motionbeat_upstream.tracking.grid import Grid, Tokens


@dataclass(frozen=True)
class BeatWindows:
    """The complete beats and bars inside the clips of a batch."""

    overlaps: Overlaps
    """Overlaps of frames and steps; the first step of a clip is the time before its first beat."""
    clip: Tensor
    """(K,) int64, clip of each beat."""
    first_step: Tensor
    """(K,) int64, index of the first step of each beat."""
    bar: Tensor
    """(K,) int64, bar of each beat, counted over the batch; -1 if the bar is not complete."""
    position: Tensor
    """(K,) int64, position of each beat in its bar, from 0."""
    bar_lengths: Tensor
    """(R,) int64, number of beats of each complete bar."""
    steps: int
    """Steps per beat."""

    def per_beat(self, curve: Tensor) -> Tensor:
        """Average a (B, F) curve at 50 Hz over each step: (K, steps)."""
        steps = pool(curve[..., None], self.overlaps)[..., 0]
        index = self.first_step[:, None] + torch.arange(self.steps, device=curve.device)
        return steps[self.clip[:, None], index]

    def per_bar(self, beats: Tensor, bins: int) -> Tensor:
        """Accent mass (R, bins) of the complete bars.

        Args:
            beats: (K, steps), at least 0.
            bins: bins per bar; a step that overlaps two bins is divided between them.
        """
        inside = self.bar >= 0
        beat, bar, position = beats[inside], self.bar[inside], self.position[inside]
        count = self.bar_lengths[bar].to(beats.dtype)
        edge = torch.arange(self.steps + 1, device=beats.device, dtype=beats.dtype) / self.steps
        border = (position[:, None] + edge) / count[:, None] * bins
        size = border[:, 1:] - border[:, :-1]
        low = border[:, :-1, None]
        grid = torch.arange(bins, device=beats.device, dtype=beats.dtype)
        shared = (torch.minimum(border[:, 1:, None], grid + 1) - torch.maximum(low, grid)).clamp(min=0)
        # The mass of a step is its height times its duration; the steps of a bar are about equally long.
        mass = (beat[..., None] * shared / size[..., None] / count[:, None, None]).sum(1)
        return torch.zeros(len(self.bar_lengths), bins, device=beats.device, dtype=beats.dtype).index_add(
            0, bar, mass
        )


def beat_windows(
    grids: Sequence[Grid], durations: Sequence[float], frames: int, steps: int, device: torch.device
) -> BeatWindows:
    """Find the complete beats and bars of a batch.

    Args:
        grids: grid of each clip.
        durations: durations of the clips in seconds.
        frames: F, frames of 20 ms of the padded batch.
        steps: steps per beat.
        device: device of the curves.
    """
    rows: list[NDArray[np.float64]] = []
    beat_rows: list[tuple[int, int, int, int]] = []
    bar_lengths: list[int] = []
    for row, (grid, duration) in enumerate(zip(grids, durations, strict=True)):
        inside = np.flatnonzero((grid.beats >= 0) & (grid.beats <= duration))
        beats, positions = grid.beats[inside], grid.positions[inside]
        edges = beats[:-1, None] + np.diff(beats)[:, None] * np.arange(steps) / steps
        rows.append(np.concatenate([[0.0], edges.ravel(), beats[-1:]]))
        downbeats = np.flatnonzero(positions == 1)
        for k in range(len(beats) - 1):
            after = downbeats[downbeats > k]
            before = downbeats[downbeats <= k]
            whole = len(after) and len(before)
            bar, position = (len(bar_lengths), int(k - before[-1])) if whole else (-1, 0)
            beat_rows.append((row, 1 + k * steps, bar, position))
            if whole and after[0] == k + 1:
                bar_lengths.append(int(after[0] - before[-1]))
    size = max(len(edges) for edges in rows) - 1
    start, stop = np.zeros((2, len(rows), max(size, 1)))
    for row, edges in enumerate(rows):
        count = len(edges) - 1
        start[row, :count], stop[row, :count] = edges[:-1], edges[1:]
        start[row, count:] = stop[row, count:] = edges[-1]
    empty = torch.zeros(start.shape)
    tokens = Tokens(
        torch.from_numpy(start), torch.from_numpy(stop), empty.long(), empty, torch.ones_like(empty).bool()
    )
    clip, first_step, bar, position = torch.tensor(beat_rows, device=device).view(-1, 4).long().T
    counts = torch.tensor(bar_lengths, dtype=torch.int64, device=device)
    return BeatWindows(overlaps(tokens, frames).to(device), clip, first_step, bar, position, counts, steps)

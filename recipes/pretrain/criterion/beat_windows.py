"""Curves over time cut into beats and bars, each beat resampled to a fixed number of steps."""

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
    """The whole beats and whole bars inside the clips of a batch."""

    table: Overlaps
    """Frames against steps; a clip's first step is what lies before its first beat."""
    clip: Tensor
    """(K,) clip of each beat, int64."""
    first: Tensor
    """(K,) index of each beat's first step, int64."""
    bar: Tensor
    """(K,) index of the bar of each beat over the whole batch; -1 where the bar is not whole."""
    place: Tensor
    """(K,) place of the beat in its bar, from 0."""
    bars: Tensor
    """(R,) beats of each whole bar."""
    steps: int
    """Steps a beat."""

    def per_beat(self, curve: Tensor) -> Tensor:
        """(B, F) curve at 50 Hz to (K, steps): the mean over each step."""
        steps = pool(curve[..., None], self.table)[..., 0]
        index = self.first[:, None] + torch.arange(self.steps, device=curve.device)
        return steps[self.clip[:, None], index]

    def per_bar(self, beats: Tensor, places: int) -> Tensor:
        """(K, steps) beats to (R, places) accent mass of whole bars, at ``places`` places a bar.

        Args:
            beats: at least 0.
            places: any number; a step that reaches over a border between two is shared.
        """
        inside = self.bar >= 0
        beat, bar, place = beats[inside], self.bar[inside], self.place[inside]
        count = self.bars[bar].to(beats.dtype)
        edge = torch.arange(self.steps + 1, device=beats.device, dtype=beats.dtype) / self.steps
        border = (place[:, None] + edge) / count[:, None] * places
        size = border[:, 1:] - border[:, :-1]
        low = border[:, :-1, None]
        grid = torch.arange(places, device=beats.device, dtype=beats.dtype)
        shared = (torch.minimum(border[:, 1:, None], grid + 1) - torch.maximum(low, grid)).clamp(min=0)
        # A step's mass is its height times its length in time; all steps of a bar are about as long.
        mass = (beat[..., None] * shared / size[..., None] / count[:, None, None]).sum(1)
        return torch.zeros(len(self.bars), places, device=beats.device, dtype=beats.dtype).index_add(
            0, bar, mass
        )


def beat_windows(
    grids: Sequence[Grid], durations: Sequence[float], frames: int, steps: int, device: torch.device
) -> BeatWindows:
    """Find the whole beats and bars of a batch.

    Args:
        grids: one a clip.
        durations: of the clips in seconds.
        frames: F, frames of 20 ms of the padded batch.
        steps: steps a beat.
        device: where the curves will be.
    """
    rows: list[NDArray[np.float64]] = []
    beats_found: list[tuple[int, int, int, int]] = []
    bars: list[int] = []
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
            bar, place = (len(bars), int(k - before[-1])) if whole else (-1, 0)
            beats_found.append((row, 1 + k * steps, bar, place))
            if whole and after[0] == k + 1:
                bars.append(int(after[0] - before[-1]))
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
    clip, first, bars_of, places = torch.tensor(beats_found, device=device).view(-1, 4).long().T
    counts = torch.tensor(bars, dtype=torch.int64, device=device)
    return BeatWindows(overlaps(tokens, frames).to(device), clip, first, bars_of, places, counts, steps)

"""One random error of the grid, shared by music, motion and negatives of a whole batch [O].

On the exact grid a moved or stretched motion is visibly off the beat, and the motion tower would know
the negatives without listening (measured on a prototype). With an error that nobody knows, only
music and motion together tell which motion is the right one. Were the error another one for each pair,
though, the pairs of a batch could be told apart by it: both towers see where in a bar their clip begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from motion_data.rhythm.beat_clock import times_at
from motionbeat_upstream.nn.grid import Grid


@dataclass(frozen=True)
class GridError:
    """How far off a grid is."""

    beats: float
    """Beats by which every beat comes late, in [-1/2, 1/2)."""
    bar: float
    """Share of a bar, in [0, 1), by which every bar comes late, rounded down to whole beats."""


def draw_grid_error(rng: np.random.Generator) -> GridError:
    """An error, all of them equally likely in every metre."""
    return GridError(float(rng.uniform(-0.5, 0.5)), float(rng.random()))


def displaced(grid: Grid, error: GridError) -> Grid:
    """A grid with the error; as many beats, each moved along with the tempo around it."""
    beats = times_at(grid, np.arange(len(grid.beats)) + error.beats)
    head = np.arange(-int(error.bar * grid.metre), 0) + grid.positions[0] - 1
    positions = np.concatenate([head % grid.metre + 1, grid.positions])[: len(beats)]
    return Grid(beats, positions, grid.metre, grid.confidence)

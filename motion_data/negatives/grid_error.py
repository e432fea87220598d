"""A random error of the grid for each clip, shared by its music, its motion and its negatives [O].

On the exact grid a moved or stretched motion is visibly off the beat, and the motion tower would know
the negatives without listening (measured on a prototype). With an error that nobody knows, only music
and motion together tell which motion is the right one: where the beat lies against the grid that is shown
must be heard in the one and seen in the other.

The error must not be told by anything else. A network sees where a clip begins and ends. So clips begin
anywhere in their bars, and all clips of a batch are shown grids whose bars lie alike: they differ in
where the true bars are, and in nothing that could be seen without music or motion (measured: with an error
drawn for each clip whose beginning was a downbeat, pairs were found as well in silence).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from motion_data.rhythm.beat_clock import times_at
from motionbeat_upstream.beats.grid import Grid, turns_at


def displaced(grid: Grid, phase: float) -> Grid:
    """The grid, moved along with the tempo around it until a certain phase of a bar lies at 0 s.

    Args:
        grid: of a clip, on the clip's clock.
        phase: of the bar, in [0, 1); 0 is a downbeat.

    Returns:
        As many beats of the same metre, each moved by at most half a beat, and renumbered.
    """
    late = (turns_at(grid, np.zeros(1))[0] - phase) * grid.metre
    whole = int(np.round(late))
    beats = times_at(grid, np.arange(len(grid.beats)) + late - whole)
    positions = (grid.positions - 1 - whole) % grid.metre + 1
    return replace(grid, beats=beats, positions=positions)

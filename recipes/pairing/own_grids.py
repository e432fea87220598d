"""Retrieval with each side on its own grid: the motion's beats as the motion itself has them [O].

The grid of a pair comes from its music. Given to both towers, it tells the motion tower tempo and
downbeat of the music. Here the motion's grid comes from its touch-downs and halts, and the music's from
its audio: the music tower estimates it where it is given none.
"""

from __future__ import annotations

from collections.abc import Sequence

from motion_data.motion import Motion
from motion_data.pipeline.batch import Batch
from motion_data.rhythm.motion_grid import motion_grid
from motionbeat_upstream.nn.grid import Grid
from motionbeat_upstream.nn.motion_tower import RATE


def motion_grids(batch: Batch) -> tuple[Grid, ...]:
    """One grid for each clip's own motion.

    Where a motion has no pulse that repeats itself, and where it has neither joints nor touch-downs, it is
    the fallback grid, with confidence 0. Neither the audio nor ``batch.grids`` are looked at.
    """
    return own_grids(
        [batch.motion(row) for row in range(len(batch))], (batch.feature_lengths / RATE).tolist()
    )


def own_grids(motions: Sequence[Motion], durations: Sequence[float]) -> tuple[Grid, ...]:
    """The same for any motions, such as hard negatives.

    Args:
        motions: each on its clip's clock.
        durations: of the clips in seconds, above 0.
    """
    return tuple(motion_grid(motion, duration) for motion, duration in zip(motions, durations, strict=True))

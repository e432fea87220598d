"""A pair at hand: its sound, its motion and its grid, ready for a model or a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from motion_data.motion import Motion
from motion_data.pair import MotionPair
from motionbeat_upstream.nn.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """What a :class:`~motion_data.pair.MotionPair` stands for; all times are seconds from its start."""

    pair: MotionPair
    wav: Tensor
    """(T,) float32 at 16 kHz."""
    motion: Motion
    grid: Grid | None
    """None where the corpus knows no beats."""

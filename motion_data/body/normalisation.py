"""A motion from anywhere made fit: common skeleton, metres, y up, no gaps, 60 frames a second at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.gaps import fill_gaps
from motion_data.body.orientation import Orientation, orient
from motion_data.body.resampling import resample_positions
from motion_data.body.retarget import to_common
from motion_data.skeleton import JOINTS

FASTEST_KEPT = 60.0
"""Frames a second that are kept; footfalls are 15 Hz at most, and AIST++ has as many."""

FARTHEST = 1e9
"""Units from the origin, whatever they are, beyond which a joint is taken for lost."""


@dataclass(frozen=True)
class Body:
    """A motion made fit, and what was done to it."""

    joints: NDArray[np.floating[Any]]
    """(T, 22, 3) in metres, y up, the floor at y = 0."""
    fps: float
    orientation: Orientation
    missed: tuple[str, ...]
    """Joints the source does not have, inferred from their neighbours."""
    filled: int
    """Joints times frames that were missing and are interpolated."""
    source_fps: float

    def report(self) -> dict[str, Any]:
        """For a pair's provenance."""
        return {
            "source_fps": round(self.source_fps, 6),
            **self.orientation.report(),
            "missed_joints": list(self.missed),
            "filled": self.filled,
        }


def normalise(
    names: Sequence[str],
    joints: NDArray[np.floating[Any]],
    fps: float,
    unit: str | None = None,
    up: str | None = None,
) -> Body:
    """Map to the common skeleton, fill short gaps, find unit and axes, and lower the rate to 60 at most.

    Args:
        names: (J,) as the source has them.
        joints: (T, J, 3) in the source's unit and axes; NaN where a joint was lost.
        fps: frames a second of the source.
        unit: overrides what is detected: m, dm, cm, mm, in, asf, or metres a unit as a number.
        up: overrides what is detected: x, y, z, -x, -y or -z.

    Raises:
        DataError: joints that cannot be mapped, long gaps, no human size, no clear up axis.
    """
    # NaN spreads through arithmetic without a warning.
    common = to_common(names, np.where(np.abs(joints) < FARTHEST, joints, np.nan))
    whole, filled = fill_gaps(common.joints, fps, JOINTS)
    oriented, orientation = orient(whole, unit, up)
    kept = min(fps, FASTEST_KEPT)
    if kept < fps:
        oriented = resample_positions(oriented, fps, kept)
    return Body(oriented, kept, orientation, common.missed, filled, fps)

"""A stretch of a motion, cut between frames."""

from __future__ import annotations

import numpy as np

from motion_data.errors import DataError
from motion_data.motion import Motion


def cut_motion(motion: Motion, start: float = 0.0, seconds: float | None = None) -> Motion:
    """The frames from the one nearest to ``start`` on; pulses are left out.

    Args:
        motion: any.
        start: seconds of the audio.
        seconds: how long; to the end where it is None or reaches beyond it.

    Raises:
        DataError: under two frames stand in the stretch.
    """
    stop = np.inf if seconds is None else start + seconds
    first, last = np.searchsorted(motion.times + 0.5 / motion.fps, [start, stop])
    if last - first < 2:
        raise DataError(
            f"a stretch from {start:g} s{'' if seconds is None else f' of {seconds:g} s'} holds "
            f"{max(last - first, 0)} frame(s) of the motion, which stands from {motion.times[0]:.2f} to "
            f"{motion.times[-1]:.2f} s; expected at least 2"
        )
    rotations = None if motion.rotations is None else motion.rotations[first:last]
    return Motion(motion.fps, motion.names, motion.joints[first:last], motion.times[first], rotations)

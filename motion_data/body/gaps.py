"""Gaps: joints that a tracker lost for some frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from motion_data.errors import DataError

LONGEST_GAP = 0.2
"""Seconds that may be filled: under half a beat at 140 bpm, so that no step is made up [O]."""


def fill_gaps(
    joints: NDArray[np.floating[Any]], fps: float, names: Sequence[str] = ()
) -> tuple[NDArray[np.floating[Any]], int]:
    """Fill short gaps, joint by joint, and count what was filled.

    A joint is missing in a frame when one of its coordinates is NaN or infinite. Gaps between known
    frames are filled by monotone cubics (PCHIP), which do not leave the range of the gap's two ends;
    gaps at the beginning or the end hold the nearest known position.

    Args:
        joints: (T, J, 3), any unit.
        fps: frames a second.
        names: (J,) for messages.

    Returns:
        (T, J, 3) with finite numbers only (the array itself if it had no gap), and the number of
        joints times frames that were filled.

    Raises:
        DataError: a joint missing for longer than ``LONGEST_GAP``, by index (and name) and frames.
    """
    missing = ~np.isfinite(joints).all(axis=2)
    if not missing.any():
        return joints, 0
    filled = joints.copy()
    frames = np.arange(len(joints))
    for joint in np.flatnonzero(missing.any(axis=0)):
        _refuse_long(missing[:, joint], f"joint {joint}" + (f" ({names[joint]})" if names else ""), fps)
        known = ~missing[:, joint]
        inner = missing[:, joint] & (np.cumsum(known) > 0) & (np.cumsum(known[::-1])[::-1] > 0)
        nearest = np.clip(frames, frames[known][0], frames[known][-1])
        filled[:, joint] = joints[nearest, joint]
        if inner.any():
            filled[inner, joint] = PchipInterpolator(frames[known], joints[known, joint])(frames[inner])
    return filled, int(missing.sum())


def _refuse_long(missing: NDArray[np.bool_], joint: str, fps: float) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]])))
    for first, after in edges.reshape(-1, 2):
        if (after - first) / fps > LONGEST_GAP + 1e-9 or missing.all():
            raise DataError(
                f"{joint} is missing (NaN or infinite) in frames {first} to {after - 1}, "
                f"{(after - first) / fps:.2f} s; expected gaps of at most {LONGEST_GAP:g} s: cut the motion"
            )

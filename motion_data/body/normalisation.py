"""A motion from anywhere made fit: common skeleton, metres, y up, no gaps, 60 frames a second at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from motion_data.body.orientation import orient
from motion_data.body.resampling import resample_positions
from motion_data.body.retarget import map_to_common
from motion_data.errors import DataError
from motion_data.skeleton import JOINTS

MAX_GAP_SECONDS = 0.2
"""Seconds of a gap, where a tracker lost a joint, that may be filled: under half a beat at 140 bpm, so that
no step is made up [O]."""


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
        DataError: a joint missing for longer than ``MAX_GAP_SECONDS``, by index (and name) and frames.
    """
    missing = ~np.isfinite(joints).all(axis=2)
    if not missing.any():
        return joints, 0
    filled = joints.copy()
    frames = np.arange(len(joints))
    for joint in np.flatnonzero(missing.any(axis=0)):
        _check_gaps(missing[:, joint], f"joint {joint}" + (f" ({names[joint]})" if names else ""), fps)
        known = ~missing[:, joint]
        inner = missing[:, joint] & (np.cumsum(known) > 0) & (np.cumsum(known[::-1])[::-1] > 0)
        nearest = np.clip(frames, frames[known][0], frames[known][-1])
        filled[:, joint] = joints[nearest, joint]
        if inner.any():
            filled[inner, joint] = PchipInterpolator(frames[known], joints[known, joint])(frames[inner])
    return filled, int(missing.sum())


def _check_gaps(missing: NDArray[np.bool_], joint: str, fps: float) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]])))
    for first, after in edges.reshape(-1, 2):
        if (after - first) / fps > MAX_GAP_SECONDS + 1e-9 or missing.all():
            raise DataError(
                f"{joint} is missing (NaN or infinite) in frames {first} to {after - 1}, "
                f"{(after - first) / fps:.2f} s; expected gaps of at most {MAX_GAP_SECONDS:g} s: "
                f"cut the motion"
            )


MAX_OUTPUT_FPS = 60.0
"""Frames a second that are kept; footfalls are 15 Hz at most, and AIST++ has as many."""

MAX_COORDINATE = 1e9
"""Units from the origin, whatever they are, beyond which a joint is taken for lost."""


@dataclass(frozen=True)
class NormalisedMotion:
    """A motion made fit, and what was done to it."""

    joints: NDArray[np.floating[Any]]
    """(T, 22, 3) in metres, y up, the floor at y = 0."""
    fps: float
    facts: Mapping[str, Any]
    """For a pair's provenance: the source's rate, unit and axes; the joints that it does not have, inferred
    from their neighbours; the number of joints times frames that were missing and are interpolated."""


def normalise(
    names: Sequence[str],
    joints: NDArray[np.floating[Any]],
    fps: float,
    unit: str | None = None,
    up: str | None = None,
) -> NormalisedMotion:
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
    common = map_to_common(names, np.where(np.abs(joints) < MAX_COORDINATE, joints, np.nan))
    whole, filled = fill_gaps(common.joints, fps, JOINTS)
    oriented, orientation = orient(whole, unit, up)
    kept = min(fps, MAX_OUTPUT_FPS)
    if kept < fps:
        oriented = resample_positions(oriented, fps, kept)
    facts = {
        "source_fps": round(fps, 6),
        **orientation,
        "missed_joints": list(common.inferred),
        "filled": filled,
    }
    return NormalisedMotion(oriented, kept, facts)

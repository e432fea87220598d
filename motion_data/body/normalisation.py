"""Normalisation of motions: common skeleton, metres, y up, no gaps, at most 60 frames per second."""

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
"""Maximum length of a gap that is filled, where a tracker lost a joint: less than half a beat at 140 bpm, so
that no steps are invented [O]."""


def fill_gaps(
    joints: NDArray[np.floating[Any]], fps: float, names: Sequence[str] = ()
) -> tuple[NDArray[np.floating[Any]], int]:
    """Fill short gaps joint by joint.

    A joint is missing in a frame if one of its coordinates is NaN or infinite. Gaps between known frames are
    filled with monotone cubics (PCHIP), which remain between the two ends of the gap. Gaps at the beginning
    or end are filled with the nearest known position.

    Args:
        joints: (T, J, 3), any unit.
        fps: frames per second.
        names: (J,) joint names for messages.

    Returns:
        (T, J, 3) finite positions (the same array if it has no gaps), and the number of filled joints times
        frames.

    Raises:
        DataError: a joint is missing for longer than ``MAX_GAP_SECONDS``; names the joint and frames.
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
"""Maximum frame rate of the result: that of AIST++. Footfalls have at most 15 Hz."""

MAX_COORDINATE = 1e9
"""Joints with larger coordinates, in any unit, count as missing."""


@dataclass(frozen=True)
class NormalisedMotion:
    """A normalised motion, and a description of the changes."""

    joints: NDArray[np.floating[Any]]
    """(T, 22, 3) in metres, y up, the floor at y = 0."""
    fps: float
    facts: Mapping[str, Any]
    """For the provenance of a pair: the source's frame rate, unit and axes, the inferred joints
    (``missed_joints``), and the number of interpolated joints times frames (``filled``)."""


def normalise(
    names: Sequence[str],
    joints: NDArray[np.floating[Any]],
    fps: float,
    unit: str | None = None,
    up: str | None = None,
) -> NormalisedMotion:
    """Map to the common skeleton, fill short gaps, convert unit and axes, and limit the frame rate to 60.

    Args:
        names: (J,) joint names of the source.
        joints: (T, J, 3) in the source's unit and axes; NaN for missing joints.
        fps: frames per second of the source.
        unit: m, dm, cm, mm, in, asf, or metres per unit as a number; None detects it.
        up: x, y, z, -x, -y or -z; None detects it.

    Raises:
        DataError: joints cannot be mapped, gaps are long, or size or up axis are implausible.
    """
    # NaN spreads through arithmetic without a warning.
    common = map_to_common(names, np.where(np.abs(joints) < MAX_COORDINATE, joints, np.nan))
    joints, filled = fill_gaps(common.joints, fps, JOINTS)
    joints, orientation = orient(joints, unit, up)
    output_fps = min(fps, MAX_OUTPUT_FPS)
    if output_fps < fps:
        joints = resample_positions(joints, fps, output_fps)
    facts = {
        "source_fps": round(fps, 6),
        **orientation,
        "missed_joints": list(common.inferred),
        "filled": filled,
    }
    return NormalisedMotion(joints, output_fps, facts)

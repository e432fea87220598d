"""Detection of the unit and up axis of a motion from its body, and conversion to metres with y up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from motion_data.errors import DataError
from motion_data.skeleton import FEET, INDEX

Floats = NDArray[np.floating[Any]]

UNITS: Mapping[str, float] = {
    "m": 1.0,
    "dm": 0.1,
    "cm": 0.01,
    "mm": 0.001,
    "in": 0.0254,
    "asf": 0.0254 / 0.45,
}
"""Metres per unit; ``asf`` is the unit of CMU's files, with 0.45 units per inch."""

HUMAN_STATURE_METRES = (1.2, 2.1)
"""Range of stature for the detection of the unit. No stature is in the range for two units."""

ALLOWED_STATURE_METRES = (0.5, 3.0)
"""Range of stature if the user specifies the unit: allows children and cartoon figures."""

BONES_PER_STATURE = 0.491 + 0.288
"""Hip to ankle plus hip to shoulder, relative to stature (Winter, Biomechanics and Motor Control of Human
Movement, after Drillis and Contini: hip .530, ankle .039, shoulder .818)."""

AXES = {sign + axis: (k, -1.0 if sign else 1.0) for k, axis in enumerate("xyz") for sign in ("", "-")}

MIN_UP_SHARE = 0.8
"""Minimum component of the mean direction from feet to head along the up axis: an angle of about 37
degrees."""

FLOOR_PERCENTILE = 2.0
"""The floor is this percentile of the lower foot's height over the frames."""

MIN_MIRRORED_SHARE = 0.7
"""A body is mirrored if toes and knees are behind it in at least this share of the frames."""


def orient(joints: Floats, unit: str | None = None, up: str | None = None) -> tuple[Floats, dict[str, Any]]:
    """Convert a motion on the common skeleton to metres, y up, right-handed, with the floor at y = 0.

    The up axis is closest to the mean direction from feet to head. The unit is the one in which the body has
    a human stature. Axes are left-handed if toes and knees are behind the body.

    Args:
        joints: (T, 22, 3) in any unit and axes, finite.
        unit: a name of ``UNITS``, or metres per unit as a number; None detects it.
        up: x, y, z, -x, -y or -z; None detects it.

    Returns:
        (T, 22, 3), and for the provenance of a pair the results with reasons: unit, stature, up axis, whether
        z was inverted because the axes were left-handed (or left and right swapped), and the original floor
        height.

    Raises:
        DataError: no unit gives a human stature, no axis is clearly up, or an override is invalid.
    """
    joints = np.asarray(joints, dtype=np.float64)
    scale, unit, stature, unit_reason = _determine_unit(joints, unit)
    up, up_reason = _determine_up(joints, up)
    oriented = joints @ _rotation_to_y_up(up).T * scale
    mirrored, mirrored_reason = _is_mirrored(oriented)
    if mirrored:
        oriented = oriented * np.array([1.0, 1.0, -1.0])
    floor = floor_height(oriented)
    oriented = oriented - np.array([0.0, floor, 0.0])
    return oriented, {
        "unit": f"{unit} ({unit_reason})",
        "stature_m": round(stature, 3),
        "up": f"{up} ({up_reason})",
        "mirrored": f"{'yes' if mirrored else 'no'} ({mirrored_reason})",
        "floor_m": round(floor, 4),
    }


def floor_height(joints: Floats, share: float = FLOOR_PERCENTILE) -> float:
    """Estimate the height of the floor under (T, 22, 3) joints, y up: a percentile of the lower foot's
    height."""
    feet = [INDEX[name] for names in FEET.values() for name in names]
    return float(np.percentile(joints[:, feet, 1].min(axis=1), share))


def estimate_stature(joints: Floats) -> float:
    """Estimate the stature of a body in the unit of the joints, from the lengths of legs and trunk."""
    legs = [
        _bone_length(joints, f"{side}_hip", f"{side}_knee")
        + _bone_length(joints, f"{side}_knee", f"{side}_ankle")
        for side in ("left", "right")
    ]
    hips = (joints[:, INDEX["left_hip"]] + joints[:, INDEX["right_hip"]]) / 2
    shoulders = (joints[:, INDEX["left_shoulder"]] + joints[:, INDEX["right_shoulder"]]) / 2
    # The trunk bends, so a high percentile is used instead of the median.
    trunk = float(np.percentile(np.linalg.norm(shoulders - hips, axis=1), 75))
    return (sum(legs) / 2 + trunk) / BONES_PER_STATURE


def _bone_length(joints: Floats, one: str, other: str) -> float:
    return float(np.median(np.linalg.norm(joints[:, INDEX[one]] - joints[:, INDEX[other]], axis=1)))


def _determine_unit(joints: Floats, given: str | None) -> tuple[float, str, float, str]:
    """Return metres per unit, the unit, the stature in metres, and the reason."""
    stature = estimate_stature(joints)
    if given is not None:
        scale = _parse_unit(given)
        if not ALLOWED_STATURE_METRES[0] <= stature * scale <= ALLOWED_STATURE_METRES[1]:
            raise DataError(
                f"the body is {stature * scale:.3g} m tall in the unit given ({given}); expected "
                f"{ALLOWED_STATURE_METRES[0]:g} to {ALLOWED_STATURE_METRES[1]:g} m: leave the unit "
                f"out to have it detected, or correct it"
            )
        return scale, given, stature * scale, "given"
    for unit, scale in UNITS.items():
        if HUMAN_STATURE_METRES[0] <= stature * scale <= HUMAN_STATURE_METRES[1]:
            reason = f"the bones make a body {stature:.4g} tall, {stature * scale:.2f} m in this unit"
            return scale, unit, stature * scale, reason
    ranges = ", ".join(
        f"{HUMAN_STATURE_METRES[0] / scale:.3g}-{HUMAN_STATURE_METRES[1] / scale:.3g} {u}"
        for u, scale in UNITS.items()
    )
    raise DataError(
        f"the bones make a body {stature:.4g} tall, no human size in any unit; expected {ranges}: give the "
        f"unit, as a name or as metres a unit"
    )


def _parse_unit(given: str) -> float:
    if given in UNITS:
        return UNITS[given]
    try:
        scale = float(given)
    except ValueError:
        scale = float("nan")
    if not (np.isfinite(scale) and scale > 0):
        raise DataError(
            f"unit {given!r} is not known; expected one of {', '.join(UNITS)}, or metres a unit as a number"
        )
    return scale


def _determine_up(joints: Floats, given: str | None) -> tuple[str, str]:
    if given is not None:
        if given not in AXES:
            raise DataError(f"up axis {given!r} is not known; expected one of {', '.join(AXES)}")
        return given, "given"
    feet = (joints[:, INDEX["left_ankle"]] + joints[:, INDEX["right_ankle"]]) / 2
    rise = joints[:, INDEX["head"]] - feet
    length = np.linalg.norm(rise, axis=1, keepdims=True)
    mean = (rise / np.where(length > 0, length, 1.0)).mean(axis=0)
    norm = float(np.linalg.norm(mean))
    axis = int(np.abs(mean).argmax())
    if norm < 0.1 or abs(mean[axis]) < MIN_UP_SHARE * norm:
        raise DataError(
            f"no axis is clearly up: from feet to head the body points along ({mean[0]:.2f}, {mean[1]:.2f}, "
            f"{mean[2]:.2f}) on average, expected one of them near 1 or -1: give the up axis"
        )
    up = ("-" if mean[axis] < 0 else "") + "xyz"[axis]
    return up, f"from feet to head the body points {abs(mean[axis]):.2f} along it on average"


def _rotation_to_y_up(up: str) -> NDArray[np.float64]:
    """Rotation matrix that maps an axis to y: 90 or 180 degrees about x or z."""
    axis, sign = AXES[up]
    about, degrees = {
        (0, 1.0): ("z", 90),
        (0, -1.0): ("z", -90),
        (1, 1.0): ("x", 0),
        (1, -1.0): ("x", 180),
        (2, 1.0): ("x", -90),
        (2, -1.0): ("x", 90),
    }[axis, sign]
    matrix: NDArray[np.float64] = np.round(Rotation.from_euler(about, degrees, degrees=True).as_matrix())
    return matrix


def _is_mirrored(joints: Floats) -> tuple[bool, str]:
    """Whether the axes are left-handed; in right-handed axes, left × up is forward.

    Forward is the direction from ankles to toes, and from the line between hip and ankle to the knee.
    """
    left = joints[:, INDEX["left_hip"]] - joints[:, INDEX["right_hip"]]
    forward = np.cross(left, [0.0, 1.0, 0.0])
    length = np.linalg.norm(forward, axis=1, keepdims=True)
    forward = forward / np.where(length > 0, length, 1.0)
    offset = np.zeros(len(joints))
    for side in ("left", "right"):
        hip, knee, ankle, foot = (
            joints[:, INDEX[f"{side}_{part}"]] for part in ("hip", "knee", "ankle", "foot")
        )
        offset += np.einsum("ti,ti->t", foot - ankle, forward)
        offset += np.einsum("ti,ti->t", knee - (hip + ankle) / 2, forward)
    behind = float((offset < 0).mean())
    reason = f"toes and knees behind the hips in {100 * behind:.0f} % of the frames"
    return behind > MIN_MIRRORED_SHARE, reason

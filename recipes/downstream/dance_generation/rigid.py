"""Bones keep their length: what is drawn as positions is put on a body that a dancer could have.

Trunk and arms point where they did. Legs reach for the feet, and the body is lowered where they are too
short: laid out from the pelvis on, every error of hips and bones would add up at the ankles, and feet that
were drawn at rest would slide [O].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from motion_data.body.kinematics import forward_kinematics
from motion_data.body.rotation_fit import fit_rotations
from motion_data.skeleton import INDEX

AT_ONCE = 1800
"""Frames that are worked on at once, and that say what the body is like."""

STRETCHED = 0.999
"""Share of its length that a leg reaches over at most; a straight knee has no side to bend to."""

LOWEST = 0.15
"""Metres that it is lowered by at most: feet that are drawn farther away are not reached."""

CALM = 3
"""Frames over which the body is lowered and raised again."""

NO_LENGTH = 1e-6
"""Metres below which a direction is noise."""

SIDES = ("left", "right")

Array = NDArray[np.floating[Any]]


def bones_of(joints: Array) -> NDArray[np.float64]:
    """(22, 3) rest pose of the body that (T, 22, 3) joints are most like."""
    return fit_rotations(joints[:: -(-len(joints) // AT_ONCE)]).rest


def on_rigid_body(joints: Array, rest: Array | None = None) -> NDArray[np.float32]:
    """(T, 22, 3) joints with bones of one length throughout: the feet where they were drawn, as far as the
    legs reach, and all else pointing where it did.

    Args:
        joints: (T, 22, 3) metres, as they were drawn.
        rest: whose bones, see :func:`bones_of`; without it their own.
    """
    if rest is None:
        rest = bones_of(joints)
    parts = []
    for first in range(0, len(joints), AT_ONCE):
        drawn = joints[first : first + AT_ONCE]
        body = fit_rotations(drawn)
        rigid = forward_kinematics(body.rotations, body.root, rest)
        rigid[..., 1] -= _too_high(rigid, drawn)[:, None]
        for side in SIDES:
            _reach(rigid, drawn, side)
        parts.append(rigid.astype(np.float32))
    return np.concatenate(parts)


def _too_high(rigid: Array, drawn: Array) -> Array:
    """(T,) metres that the body is to be lowered by, so that both legs reach the drawn ankles."""
    lower = np.zeros(len(rigid))
    for side in SIDES:
        hip, knee, ankle = (INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        longest = STRETCHED * (_length(rigid, hip, knee) + _length(rigid, knee, ankle))
        away = rigid[:, hip] - drawn[:, ankle]
        aside = np.hypot(away[:, 0], away[:, 2])
        lower = np.maximum(lower, away[:, 1] - np.sqrt(np.maximum(longest**2 - aside**2, 0.0)))
    lower = np.minimum(lower, LOWEST)
    # A mean of what is at least needed nearby is at least what is needed.
    return np.asarray(uniform_filter1d(maximum_filter1d(lower, 2 * CALM + 1), 2 * CALM + 1))


def _reach(rigid: Array, drawn: Array, side: str) -> None:
    """Lay one leg of a rigid body to the drawn ankle, in place; the knee stays on its side, and the foot
    points where it did."""
    hip, knee, ankle, foot = (INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot"))
    thigh, shin, sole = (_length(rigid, *bone) for bone in ((hip, knee), (knee, ankle), (ankle, foot)))
    away = drawn[:, ankle] - rigid[:, hip]
    wanted = np.linalg.norm(away, axis=1, keepdims=True)
    reached = np.clip(wanted, abs(thigh - shin) + NO_LENGTH, STRETCHED * (thigh + shin))
    along = away / np.maximum(wanted, NO_LENGTH)
    # The triangle of thigh, shin and the line from hip to ankle (law of cosines).
    foot_of_knee = (thigh**2 - shin**2 + reached**2) / (2 * reached)
    bend = np.sqrt(np.maximum(thigh**2 - foot_of_knee**2, 0.0))
    bent = drawn[:, knee] - rigid[:, hip]
    aside = bent - (bent * along).sum(1, keepdims=True) * along
    aside = aside / np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), NO_LENGTH)
    toes = drawn[:, foot] - drawn[:, ankle]
    rigid[:, knee] = rigid[:, hip] + foot_of_knee * along + bend * aside
    rigid[:, ankle] = rigid[:, hip] + reached * along
    rigid[:, foot] = rigid[:, ankle] + sole * toes / np.maximum(
        np.linalg.norm(toes, axis=1, keepdims=True), NO_LENGTH
    )


def _length(joints: Array, one: int, other: int) -> float:
    """Metres of a bone that keeps its length."""
    return float(np.linalg.norm(joints[0, one] - joints[0, other]))

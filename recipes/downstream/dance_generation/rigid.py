"""Gives the bones of a generated dance a constant length.

Trunk and arms keep their directions. Legs reach for the generated feet, and the body is lowered if they are
too short. With forward kinematics from the pelvis alone, errors would accumulate at the ankles, and feet at
rest would slide [O].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from motion_data.body.kinematics import forward_kinematics
from motion_data.body.rotation_fit import fit_rotations
from motion_data.skeleton import INDEX

BLOCK_FRAMES = 1800
"""Frames per block, and maximum number of frames for the estimate of the rest pose."""

MAX_LEG_EXTENSION = 0.999
"""Maximum extension of a leg relative to its length; a straight knee has no defined direction."""

MAX_LOWERING = 0.15
"""Maximum lowering of the body in metres; feet farther away are not reached."""

SMOOTHING_RADIUS = 3
"""Radius of the smoothing of the lowering, in frames."""

MIN_LENGTH = 1e-6
"""Directions of shorter vectors (metres) are undefined."""

SIDES = ("left", "right")

Array = NDArray[np.floating[Any]]


def estimate_rest_pose(joints: Array) -> NDArray[np.float64]:
    """(22, 3) rest pose that fits (T, 22, 3) joints best."""
    return fit_rotations(joints[:: -(-len(joints) // BLOCK_FRAMES)]).rest


def fix_bone_lengths(joints: Array, rest: Array | None = None) -> NDArray[np.float32]:
    """(T, 22, 3) joints with constant bone lengths: feet keep their positions as far as the legs reach, other
    bones their directions.

    Args:
        joints: (T, 22, 3) joints in metres.
        rest: rest pose with the bone lengths, by default that of :func:`estimate_rest_pose`.
    """
    if rest is None:
        rest = estimate_rest_pose(joints)
    parts = []
    for first in range(0, len(joints), BLOCK_FRAMES):
        generated = joints[first : first + BLOCK_FRAMES]
        body = fit_rotations(generated)
        rigid = forward_kinematics(body.rotations, body.root, rest)
        rigid[..., 1] -= _required_lowering(rigid, generated)[:, None]
        for side in SIDES:
            _reach(rigid, generated, side)
        parts.append(rigid.astype(np.float32))
    return np.concatenate(parts)


def _required_lowering(rigid: Array, generated: Array) -> Array:
    """(T,) metres by which to lower the body so that both legs reach the generated ankles."""
    lower = np.zeros(len(rigid))
    for side in SIDES:
        hip, knee, ankle = (INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        longest = MAX_LEG_EXTENSION * (_length(rigid, hip, knee) + _length(rigid, knee, ankle))
        away = rigid[:, hip] - generated[:, ankle]
        horizontal = np.hypot(away[:, 0], away[:, 2])
        lower = np.maximum(lower, away[:, 1] - np.sqrt(np.maximum(longest**2 - horizontal**2, 0.0)))
    lower = np.minimum(lower, MAX_LOWERING)
    # The mean of local maxima is at least the required lowering.
    return np.asarray(
        uniform_filter1d(maximum_filter1d(lower, 2 * SMOOTHING_RADIUS + 1), 2 * SMOOTHING_RADIUS + 1)
    )


def _reach(rigid: Array, generated: Array, side: str) -> None:
    """Move a leg of a rigid body to the generated ankle, in place; knee and foot keep their directions."""
    hip, knee, ankle, foot = (INDEX[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot"))
    thigh, shin, sole = (_length(rigid, *bone) for bone in ((hip, knee), (knee, ankle), (ankle, foot)))
    away = generated[:, ankle] - rigid[:, hip]
    distance = np.linalg.norm(away, axis=1, keepdims=True)
    reached = np.clip(distance, abs(thigh - shin) + MIN_LENGTH, MAX_LEG_EXTENSION * (thigh + shin))
    along = away / np.maximum(distance, MIN_LENGTH)
    # The triangle of thigh, shin and the line from hip to ankle (law of cosines).
    foot_of_knee = (thigh**2 - shin**2 + reached**2) / (2 * reached)
    bend = np.sqrt(np.maximum(thigh**2 - foot_of_knee**2, 0.0))
    bent = generated[:, knee] - rigid[:, hip]
    aside = bent - (bent * along).sum(1, keepdims=True) * along
    aside = aside / np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), MIN_LENGTH)
    toes = generated[:, foot] - generated[:, ankle]
    rigid[:, knee] = rigid[:, hip] + foot_of_knee * along + bend * aside
    rigid[:, ankle] = rigid[:, hip] + reached * along
    rigid[:, foot] = rigid[:, ankle] + sole * toes / np.maximum(
        np.linalg.norm(toes, axis=1, keepdims=True), MIN_LENGTH
    )


def _length(joints: Array, start: int, end: int) -> float:
    """Length of a bone of a rigid body in metres."""
    return float(np.linalg.norm(joints[0, start] - joints[0, end]))

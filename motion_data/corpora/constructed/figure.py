"""Body of rigid bones: proportions, and its 22 joints from feet, pelvis and angles of the upper body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.skeleton import INDEX, JOINTS

Array = NDArray[np.float64]

MAX_LEG_EXTENSION = 0.985
"""Maximum extension of a leg relative to its length; a knee is never fully straight."""

SIDES = (("left", 1.0), ("right", -1.0))
"""Direction of x of each side of a body that faces +z."""


@dataclass(frozen=True)
class Body:
    """Lengths in metres."""

    height: float = 1.70
    hip_width: float = 0.18
    hip_drop: float = 0.07
    """Height of the pelvis joint over the hips."""
    thigh: float = 0.41
    shin: float = 0.40
    ankle: float = 0.08
    """Height of the ankle over the floor with a flat foot."""
    ball: float = 0.02
    """Height of the joint of the ball over the floor."""
    foot: float = 0.13
    """Horizontal distance from ankle to ball."""
    spine: tuple[float, float, float, float, float] = (0.11, 0.13, 0.06, 0.22, 0.11)
    """Bones from pelvis to spine1, spine2, spine3, neck and head."""
    shoulder_width: float = 0.35
    upper_arm: float = 0.27
    forearm: float = 0.25

    @property
    def leg(self) -> float:
        """Length from hip to ankle."""
        return self.thigh + self.shin


def draw_body(rng: np.random.Generator) -> Body:
    """Draw a body of 1.52 to 1.92 m; each part deviates from the default proportions by up to 7 %."""
    scale = rng.uniform(1.52, 1.92) / 1.70
    factors = scale * (1 + np.clip(rng.normal(0, 0.03, 14), -0.07, 0.07))
    default = Body()
    a, b, c, d, e = (float(length * f) for length, f in zip(default.spine, factors[9:], strict=True))
    return Body(
        1.70 * scale,
        default.hip_width * factors[0],
        default.hip_drop * factors[1],
        default.thigh * factors[2],
        default.shin * factors[3],
        default.ankle * scale,
        default.ball * scale,
        default.foot * factors[4],
        (a, b, c, d, e),
        default.shoulder_width * factors[5],
        default.upper_arm * factors[6],
        default.forearm * factors[7],
    )


def rotation_matrices(yaw: Array, pitch: Array, roll: Array) -> Array:
    """(T, 3, 3) rotations by angles in radians.

    Roll about z (positive lifts the left side), then pitch about x (positive bows forward), then yaw about y
    (positive turns to the left).
    """
    cy, sy, cp, sp, cr, sr = (f(angle) for angle in (yaw, pitch, roll) for f in (np.cos, np.sin))
    rows = (
        (cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp),
        (cp * sr, cp * cr, -sp),
        (-sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


@dataclass(frozen=True)
class Foot:
    """A foot over T frames."""

    ball: Array
    """(T, 3) joint of the ball."""
    yaw: Array
    """(T,) direction of the toes, radians."""
    pitch: Array
    """(T,) rotation of the heel upwards about the ball, radians."""


def ankle_positions(body: Body, foot: Foot) -> Array:
    """(T, 3) ankle of a rigid foot."""
    up, back = body.ankle - body.ball, body.foot
    rise = up * np.cos(foot.pitch) + back * np.sin(foot.pitch)
    forward = up * np.sin(foot.pitch) - back * np.cos(foot.pitch)
    offset = np.stack([forward * np.sin(foot.yaw), rise, forward * np.cos(foot.yaw)], -1)
    ankle: Array = foot.ball + offset
    return ankle


@dataclass(frozen=True)
class Posture:
    """Posture above the feet, over T frames."""

    pelvis: Array
    """(T, 3) desired position of the pelvis; it is lowered where the legs are too short."""
    pelvis_turn: Array
    """(T, 3, 3) rotation of the pelvis; the following likewise."""
    waist_turn: Array
    chest_turn: Array
    head_turn: Array
    arms: tuple[Array, Array]
    """Left and right: (T, 4) angles in radians in the frame of the chest, in the order of
    :class:`~motion_data.corpora.constructed.step_patterns.Arms`."""


def pose_joints(body: Body, feet: tuple[Foot, Foot], posture: Posture) -> Array:
    """(T, 22, 3) joints. Every bone keeps its length, and the feet have the given positions."""
    joints = np.empty((len(posture.pelvis), len(JOINTS), 3))

    def put(name: str, positions: Array) -> Array:
        joints[:, INDEX[name]] = positions
        return positions

    half = body.hip_width / 2
    hips = [posture.pelvis_turn @ np.array([side * half, -body.hip_drop, 0]) for _, side in SIDES]
    ankles = [ankle_positions(body, foot) for foot in feet]
    pelvis = posture.pelvis.copy()
    highest = []
    for hip, ankle in zip(hips, ankles, strict=True):
        aside = ((pelvis + hip - ankle)[:, [0, 2]] ** 2).sum(-1)
        highest.append(
            ankle[:, 1] + np.sqrt(np.maximum((MAX_LEG_EXTENSION * body.leg) ** 2 - aside, 0.01)) - hip[:, 1]
        )
    pelvis[:, 1] = _soft_minimum(np.stack([pelvis[:, 1], *highest]))
    put("pelvis", pelvis)

    for (name, side), hip, ankle, foot in zip(SIDES, hips, ankles, feet, strict=True):
        hip = put(f"{name}_hip", pelvis + hip)
        put(f"{name}_ankle", ankle)
        put(f"{name}_foot", foot.ball)
        toes = np.stack([np.sin(foot.yaw), np.zeros(len(foot.yaw)), np.cos(foot.yaw)], -1)
        # Knees point between the directions of hips and toes, slightly outwards.
        pole = posture.pelvis_turn @ np.array([side * 0.15, 0.0, 1.0]) + toes
        put(f"{name}_knee", solve_middle_joint(hip, ankle, pole, body.thigh, body.shin))

    a, b, c, d, e = body.spine
    spine1 = put("spine1", pelvis + posture.pelvis_turn @ np.array([0, a, 0]))
    spine2 = put("spine2", spine1 + posture.waist_turn @ np.array([0, b, 0]))
    spine3 = put("spine3", spine2 + posture.waist_turn @ np.array([0, c, 0]))
    neck = put("neck", spine3 + posture.chest_turn @ np.array([0, d, 0]))
    put("head", neck + posture.head_turn @ np.array([0, e, 0.02]))
    for (name, side), angles in zip(SIDES, posture.arms, strict=True):
        inner = np.array([side * 0.2 * body.shoulder_width, 0.55 * d, 0])
        outer = np.array([side * 0.5 * body.shoulder_width, 0.75 * d, 0])
        put(f"{name}_collar", spine3 + posture.chest_turn @ inner)
        shoulder = put(f"{name}_shoulder", spine3 + posture.chest_turn @ outer)
        elbow = put(
            f"{name}_elbow", shoulder + _bone_vectors(posture.chest_turn, angles[:, :2], side, body.upper_arm)
        )
        put(f"{name}_wrist", elbow + _bone_vectors(posture.chest_turn, angles[:, 2:], side, body.forearm))
    return joints


def _bone_vectors(frame: Array, angles: Array, side: float, length: float) -> Array:
    azimuth, elevation = angles.T
    out = np.sin(elevation)
    direction = np.stack([side * out * np.cos(azimuth), -np.cos(elevation), out * np.sin(azimuth)], -1)
    bone: Array = length * (frame @ direction[..., None])[..., 0]
    return bone


def _soft_minimum(values: Array) -> Array:
    """(T,) smooth lower bound of the minimum of (K, T) values."""
    sharpness = 60.0
    minimum = values.min(axis=0)
    smooth: Array = minimum - np.log(np.exp(-sharpness * (values - minimum)).sum(axis=0)) / sharpness
    return smooth


def solve_middle_joint(root: Array, end: Array, pole: Array, upper: float, lower: float) -> Array:
    """Middle joint of a limb of two bones (two-bone inverse kinematics).

    Args:
        root: (T, 3) hip.
        end: (T, 3) ankle; its distance from the hip is clipped to [``|upper - lower|``, ``upper + lower``].
        pole: (T, 3) direction in which the joint bends, of any length and not parallel to the limb.
        upper: length of the first bone in metres.
        lower: length of the second bone in metres.

    Returns:
        (T, 3) knee, ``upper`` from the hip, ``lower`` from the ankle, on the side of the pole.
    """
    line = end - root
    distance = np.sqrt((line * line).sum(-1, keepdims=True))
    line = line / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(upper - lower) + 1e-9, upper + lower)
    along = (distance * distance + upper * upper - lower * lower) / (2 * distance)
    aside = np.sqrt(np.maximum(upper * upper - along * along, 0.0))
    side = pole - (pole * line).sum(-1, keepdims=True) * line
    side = side / np.maximum(np.sqrt((side * side).sum(-1, keepdims=True)), 1e-9)
    knee: Array = root + along * line + aside * side
    return knee

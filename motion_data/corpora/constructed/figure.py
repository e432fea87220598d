"""A body of rigid bones: its proportions, and its 22 joints from feet, pelvis and the angles above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.skeleton import INDEX, JOINTS

Array = NDArray[np.float64]

MAX_LEG_EXTENSION = 0.985
"""Share of a leg's length that it may stretch to; a knee is never quite straight."""

SIDES = (("left", 1.0), ("right", -1.0))
"""A body that looks along +z has its left at +x."""


@dataclass(frozen=True)
class Body:
    """Lengths in metres."""

    height: float = 1.70
    hip_width: float = 0.18
    hip_drop: float = 0.07
    """From the pelvis joint down to the hips."""
    thigh: float = 0.41
    shin: float = 0.40
    ankle: float = 0.08
    """Height of the ankle over the floor when the foot is flat."""
    ball: float = 0.02
    """Height of the ball's joint over the floor."""
    foot: float = 0.13
    """From below the ankle to the ball."""
    spine: tuple[float, float, float, float, float] = (0.11, 0.13, 0.06, 0.22, 0.11)
    """Pelvis to spine1, spine2, spine3, neck, head."""
    shoulder_width: float = 0.35
    upper_arm: float = 0.27
    forearm: float = 0.25

    @property
    def leg(self) -> float:
        """Hip to ankle, stretched."""
        return self.thigh + self.shin


def draw_body(rng: np.random.Generator) -> Body:
    """A body of 1.52 to 1.92 m, each part by itself some per cent off the usual proportions."""
    scale = rng.uniform(1.52, 1.92) / 1.70
    own = scale * (1 + np.clip(rng.normal(0, 0.03, 14), -0.07, 0.07))
    usual = Body()
    a, b, c, d, e = (float(length * f) for length, f in zip(usual.spine, own[9:], strict=True))
    return Body(
        1.70 * scale,
        usual.hip_width * own[0],
        usual.hip_drop * own[1],
        usual.thigh * own[2],
        usual.shin * own[3],
        usual.ankle * scale,
        usual.ball * scale,
        usual.foot * own[4],
        (a, b, c, d, e),
        usual.shoulder_width * own[5],
        usual.upper_arm * own[6],
        usual.forearm * own[7],
    )


def rotation_matrices(yaw: Array, pitch: Array, roll: Array) -> Array:
    """(T, 3, 3) rotations: roll about z (positive lifts the left), then pitch about x (positive bows),
    then yaw about y (positive turns to the left); all in radians."""
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
    """(T, 3) the ball's joint."""
    yaw: Array
    """(T,) where the toes point."""
    pitch: Array
    """(T,) how far the heel is raised about the ball, radians."""


def ankle_positions(body: Body, foot: Foot) -> Array:
    """(T, 3) ankle: a rigid foot about its ball."""
    up, back = body.ankle - body.ball, body.foot
    rise = up * np.cos(foot.pitch) + back * np.sin(foot.pitch)
    forward = up * np.sin(foot.pitch) - back * np.cos(foot.pitch)
    offset = np.stack([forward * np.sin(foot.yaw), rise, forward * np.cos(foot.yaw)], -1)
    ankle: Array = foot.ball + offset
    return ankle


@dataclass(frozen=True)
class Posture:
    """What the body does above its feet, over T frames."""

    pelvis: Array
    """(T, 3) where the pelvis would be; it comes down where the legs do not reach."""
    pelvis_turn: Array
    """(T, 3, 3) rotation of the pelvis, and so on."""
    waist_turn: Array
    chest_turn: Array
    head_turn: Array
    arms: tuple[Array, Array]
    """Left and right: (T, 4) upper azimuth and elevation, fore azimuth and elevation in radians, as
    :class:`~motion_data.corpora.constructed.step_patterns.Arms` has them, in the chest's frame."""


def pose_joints(body: Body, feet: tuple[Foot, Foot], posture: Posture) -> Array:
    """(T, 22, 3) joints. Every bone keeps its length, and each foot is where it is said to be."""
    joints = np.empty((len(posture.pelvis), len(JOINTS), 3))

    def put(name: str, at: Array) -> Array:
        joints[:, INDEX[name]] = at
        return at

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
        # Knees point between hips and toes, a little outwards.
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
    """(T,) just under the least of (K, T), without its corners."""
    sharpness = 60.0
    least = values.min(axis=0)
    smooth: Array = least - np.log(np.exp(-sharpness * (values - least)).sum(axis=0)) / sharpness
    return smooth


def solve_middle_joint(root: Array, end: Array, pole: Array, upper: float, lower: float) -> Array:
    """The middle joint of a limb of two bones.

    Args:
        root: (T, 3) hip.
        end: (T, 3) ankle, nowhere further from the hip than ``upper + lower``, nor nearer than
            ``|upper - lower|``; a distance outside is read as the nearest within.
        pole: (T, 3) direction the joint bends to; need be neither of unit length nor at a right angle
            to the limb, but not along it.
        upper: length of the first bone in metres.
        lower: of the second.

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

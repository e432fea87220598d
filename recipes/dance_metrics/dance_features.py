"""Features of dances for FID and diversity, as in AIST++: 72 kinetic and 32 geometric ones.

Published code assumes a fixed frame rate. Here every dance is first resampled to 60 frames per second, the
rate of AIST++ [O].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.rhythm.speed import resample_track
from recipes.dance_metrics.dance import SMPL_INDEX

RATE = 60.0
"""Frames per second of AIST++ and of the published code."""

REACH = 2
"""Radius of the windows of kinetic features in frames."""

UP, ALONG = 1, [0, 2]
"""Vertical axis and horizontal axes."""

CODE_RATE = 120.0
"""Frames per second that the published code of the geometric features assumes."""

HUMERUS, SHOULDERS, HIPS = 0.256838, 0.390848, 0.119247
"""Lengths in metres of the SMPL body that the published code uses as units."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def kinetic_features(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Squared horizontal and vertical speed in (m/s)² and acceleration in m/s² of each joint, over time.

    Source: Onuma, Faloutsos and Hodgins, "FMDistance: a fast and effective distance function for motion
    capture data", Eurographics 2008, as implemented in facebookresearch/fairmotion and
    google/aistplusplus_api (features/kinetic.py and utils.py). As in this code, "kinetic energies" are
    squared speeds without mass or ½, and "energy expenditure" is the norm of the mean acceleration. Velocity
    and acceleration are means over windows of five frames, which are cut at both ends. Positions are in the
    world frame; those of fairmotion are relative to the root.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames per second.

    Returns:
        (72,) three values for each joint.
    """
    track = resample_track(joints, fps, RATE)
    last = len(track) - 1
    frame = np.arange(1, last + 1)
    first = np.maximum(frame - REACH, 1)
    # The steps of a window add up to the displacement from the frame before it to its last frame.
    stop = np.minimum(frame + REACH, last)
    velocity = (track[stop] - track[first - 1]) * RATE / (stop - first + 1)[:, None, None]
    # The same for the differences of steps; the last frame has none.
    step = np.diff(track, axis=0)
    stop = np.minimum(frame + REACH, last - 1)
    acceleration = (step[stop] - step[first - 1]) * RATE**2 / (stop - first + 1)[:, None, None]
    features: NDArray[np.float64] = np.stack(
        [
            (velocity[..., ALONG] ** 2).sum(axis=2).mean(axis=0),
            (velocity[..., UP] ** 2).mean(axis=0),
            np.linalg.norm(acceleration, axis=2).mean(axis=0),
        ],
        axis=1,
    ).reshape(-1)
    return features


def geometric_features(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Share of frames in which the body is in each of 32 relations, in [0, 1].

    Source: Müller, Röder and Clausen, "Efficient content-based retrieval of motion capture data", SIGGRAPH
    2005, as implemented in facebookresearch/fairmotion and google/aistplusplus_api (features/manual.py and
    utils.py). This is AIST++'s version, with the lengths of one SMPL body for all dancers. It differs from
    Müller's definitions:

    - Movements are relative to the origin of the direction. In features 4 and 5 this is the chest relative to
      the belly instead of the wrists, so the two are equal, and near 0.
    - Speeds are computed with 1/120 s per frame, although AIST++ has 60 frames per second, so they are twice
    too
      large. ``CODE_RATE`` keeps this, for comparable scores.

    Bailando's features/manual.py uses lengths between other joints; its evaluation imports a manual_new.py,
    which in LinghaoChan/Motion2Motion_codes is AIST++'s. According to mint's code, FIDg in the FACT paper was
    computed with a faulty version in fairmotion. Undefined relations, of coinciding points, count as false.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames per second.

    Returns:
        (32,) in the order of the published code.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        relations = _relations(_Frames(resample_track(joints, fps, RATE)))
    return np.asarray(np.stack(relations).mean(axis=1))


def _relations(frames: _Frames) -> list[Flags]:
    """32 relations (T - 1,), from the second frame on; of symmetric ones the right side is first."""
    sides = (("right", "left"), ("left", "right"))
    return [
        # Arms and trunk.
        *(
            frames.speed_off_plane("neck", f"{side}_hip", f"{other}_hip", f"{side}_wrist") > 1.8 * HUMERUS
            for side, other in sides
        ),
        *(frames.beyond("spine3", "neck", "neck", f"{side}_wrist") > 0.2 * HUMERUS for side, _ in sides),
        *(frames.speed_towards("spine1", "spine3", "spine3") > 1.8 * HUMERUS for _ in sides),
        *(_bent(frames, f"{side}_elbow", f"{side}_shoulder", f"{side}_wrist") for side, _ in sides),
        frames.beyond("left_shoulder", "right_shoulder", "left_wrist", "right_wrist") > 2.5 * SHOULDERS,
        frames.speed_towards("left_wrist", "right_wrist", "right_wrist") > 1.4 * HUMERUS,
        *(
            frames.speed_towards(f"{side}_wrist", "pelvis", f"{other}_wrist") > 1.4 * HUMERUS
            for side, other in sides
        ),
        *(frames.speed(f"{side}_wrist") > 2.5 * HUMERUS for side, _ in sides),
        # Legs.
        *(
            frames.off_plane("pelvis", f"{other}_hip", f"{other}_foot", f"{side}_ankle") > 0.38 * HUMERUS
            for side, other in sides
        ),
        *(frames.height(f"{side}_ankle") > 1.2 * HUMERUS for side, _ in sides),
        frames.beyond("left_hip", "right_hip", "left_ankle", "right_ankle") > 2.1 * HIPS,
        *(_bent(frames, f"{side}_knee", f"{side}_hip", f"{side}_ankle") for side, _ in sides),
        *(frames.speed(f"{side}_ankle") > 2.5 * HUMERUS for side, _ in sides),
        # The whole body.
        *(
            _between(frames.angle(frames.spine, frames.bone(f"{side}_shoulder", f"{side}_elbow")), 25, 180)
            for side, _ in sides
        ),
        *(
            _between(frames.angle(frames.spine, frames.bone(f"{side}_hip", f"{side}_knee")), 50, 180)
            for side, _ in sides
        ),
        frames.off_plane("right_ankle", "neck", "left_ankle", "pelvis") > 0.5 * HUMERUS,
        _between(frames.angle(frames.spine, np.array([0.0, 1.0, 0.0])), 70, 110),
        *(frames.height(f"{side}_wrist") < 1.2 * HUMERUS for side, _ in sides),
        frames.speed("pelvis") > 2.3 * HUMERUS,
    ]


def _between(degrees: Floats, low: float, high: float) -> Flags:
    return np.asarray((degrees > low) & (degrees < high))


def _bent(frames: _Frames, joint: str, upper: str, lower: str) -> Flags:
    return _between(frames.angle(frames.bone(joint, upper), frames.bone(joint, lower)), 0, 110)


@dataclass(frozen=True)
class _Frames:
    """Measurements at every frame except the first: (T - 1,) in metres, m/s (at ``CODE_RATE``) or degrees."""

    joints: Floats
    """(T, 24, 3)."""

    def at(self, name: str) -> Floats:
        """(T - 1, 3)."""
        return self.joints[1:, SMPL_INDEX[name]]

    def step(self, name: str) -> Floats:
        """(T - 1, 3) from the frame before."""
        return np.asarray(np.diff(self.joints[:, SMPL_INDEX[name]], axis=0))

    def bone(self, begin: str, end: str) -> Floats:
        """(T - 1, 3)."""
        return np.asarray(self.at(end) - self.at(begin))

    @property
    def spine(self) -> Floats:
        """(T - 1, 3), from the neck down."""
        return self.bone("neck", "pelvis")

    def speed(self, name: str) -> Floats:
        return np.asarray(np.linalg.norm(self.step(name), axis=1) * CODE_RATE)

    def speed_towards(self, origin: str, goal: str, point: str) -> Floats:
        """Speed of a point relative to the origin, in the direction from origin to goal."""
        return _along(self.step(point) - self.step(origin), self.bone(origin, goal)) * CODE_RATE

    def speed_off_plane(self, origin: str, second: str, third: str, point: str) -> Floats:
        """Speed of a point relative to the origin, normal to the plane of three joints."""
        across = np.cross(self.bone(origin, third), self.bone(origin, second))
        return _along(self.step(point) - self.step(origin), across) * CODE_RATE

    def off_plane(self, origin: str, second: str, third: str, point: str) -> Floats:
        """Signed distance of a point from the plane of three joints; positive on the side of third ×
        second."""
        across = np.cross(self.bone(origin, third), self.bone(origin, second))
        return _along(self.bone(origin, point), across)

    def beyond(self, begin: str, end: str, base: str, point: str) -> Floats:
        """Distance of a point from the base in the direction of a bone."""
        return _along(self.bone(base, point), self.bone(begin, end))

    def height(self, name: str) -> Floats:
        """Height above the lowest joint of the body."""
        return np.asarray(self.at(name)[:, 1] - self.joints[1:, :, 1].min(axis=1))

    def angle(self, first: Floats, second: Floats) -> Floats:
        """Angle between two directions, in [0, 180]."""
        cosine = _along(first, np.broadcast_to(second, first.shape)) / np.linalg.norm(first, axis=1)
        return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _along(vector: Floats, direction: Floats) -> Floats:
    return np.asarray((vector * direction).sum(axis=1) / np.linalg.norm(direction, axis=1))

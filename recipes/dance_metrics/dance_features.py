"""Features of dances, which FID and diversity compare, as AIST++ has them: 72 kinetic, 32 geometric ones.

Published codes hard-wire the frame time, whatever the motion's rate. Here every dance is brought to 60 frames
a second first, which makes windows and seconds those of AIST++ at any rate [O].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.rhythm.speed import resample_track
from recipes.dance_metrics.dance import SMPL_INDEX

RATE = 60.0
"""Frames a second of AIST++, at which the published codes count."""

REACH = 2
"""Frames to either side in a window of the kinetic features."""

UP, ALONG = 1, [0, 2]
"""Axes: y is up."""

CODE_RATE = 120.0
"""Frames a second that the published code of the geometric features believes them to be."""

HUMERUS, SHOULDERS, HIPS = 0.256838, 0.390848, 0.119247
"""Metres, of the SMPL body that the published code measures everything by."""

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


def kinetic_features(joints: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float64]:
    """Squared horizontal and vertical speed in (m/s)² and acceleration in m/s² of each joint, over time.

    Source: Onuma, Faloutsos and Hodgins, "FMDistance: a fast and effective distance function for motion
    capture data", Eurographics 2008, as facebookresearch/fairmotion and google/aistplusplus_api
    (features/kinetic.py and utils.py) compute it. The published code differs from what the names say, and is
    followed: the "kinetic energies" are squared speeds without mass or ½, and "energy expenditure" is the
    size of the mean acceleration, which is no energy. Velocity and acceleration are means over windows of
    five frames, cut off at both ends of the dance. fairmotion counts positions from the root, the others in
    the world, as here.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames a second.

    Returns:
        (72,): the three of the first joint, those of the second, ...
    """
    track = resample_track(joints, fps, RATE)
    last = len(track) - 1
    frame = np.arange(1, last + 1)
    first = np.maximum(frame - REACH, 1)
    # The steps of a window add up to the way from its first frame's predecessor to its last frame.
    stop = np.minimum(frame + REACH, last)
    velocity = (track[stop] - track[first - 1]) * RATE / (stop - first + 1)[:, None, None]
    # Likewise the changes of step; the last frame has none.
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
    """How much of the time the body is in each of 32 relations, shares in [0, 1].

    Source: Müller, Röder and Clausen, "Efficient content-based retrieval of motion capture data", SIGGRAPH
    2005, as facebookresearch/fairmotion and google/aistplusplus_api (features/manual.py and utils.py) compute
    it. AIST++'s version is followed, with its lengths of one SMPL body for every dancer. Where it differs
    from Müller's definitions:

    - A movement is that of a point against the point where the direction begins. In features 4 and 5 that is
      the chest against the belly, and the wrists which they are named for do not come in: the two are equal,
      and near 0.
    - Speeds are divided by 1/120 s, though AIST++ has 60 frames a second: they are twice too large, or the
      thresholds half as high. ``CODE_RATE`` keeps that, for figures that compare.

    Bailando's features/manual.py takes the lengths between other joints; its evaluation imports a
    manual_new.py, which in LinghaoChan/Motion2Motion_codes is AIST++'s. mint's code says that FIDg of the
    FACT paper came from a faulty version in fairmotion and is not what the code gives now. A relation that is
    not defined, for points that coincide, counts as not given.

    Args:
        joints: (T, 24, 3) in metres, y up.
        fps: frames a second.

    Returns:
        (32,) in the order of the published code.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        given = _relations(_Frames(resample_track(joints, fps, RATE)))
    return np.asarray(np.stack(given).mean(axis=1))


def _relations(frames: _Frames) -> list[Truths]:
    """32 of (T - 1,), over the frames from the second on; of two alike, the right side comes first."""
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


def _between(degrees: Floats, low: float, high: float) -> Truths:
    return np.asarray((degrees > low) & (degrees < high))


def _bent(frames: _Frames, joint: str, upper: str, lower: str) -> Truths:
    return _between(frames.angle(frames.bone(joint, upper), frames.bone(joint, lower)), 0, 110)


@dataclass(frozen=True)
class _Frames:
    """What can be measured at every frame but the first: (T - 1,) in metres, the code's m/s, degrees."""

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
        """Of a point against the origin, along the way from there to the goal."""
        return _along(self.step(point) - self.step(origin), self.bone(origin, goal)) * CODE_RATE

    def speed_off_plane(self, origin: str, second: str, third: str, point: str) -> Floats:
        """Of a point against the origin, across the plane of three joints."""
        across = np.cross(self.bone(origin, third), self.bone(origin, second))
        return _along(self.step(point) - self.step(origin), across) * CODE_RATE

    def off_plane(self, origin: str, second: str, third: str, point: str) -> Floats:
        """How far a point is from the plane of three joints, on the side of third × second."""
        across = np.cross(self.bone(origin, third), self.bone(origin, second))
        return _along(self.bone(origin, point), across)

    def beyond(self, begin: str, end: str, base: str, point: str) -> Floats:
        """How far a point is from the base, in the direction of a bone."""
        return _along(self.bone(base, point), self.bone(begin, end))

    def height(self, name: str) -> Floats:
        """Above the body's lowest joint."""
        return np.asarray(self.at(name)[:, 1] - self.joints[1:, :, 1].min(axis=1))

    def angle(self, one: Floats, other: Floats) -> Floats:
        """Between two directions, in [0, 180]."""
        cosine = _along(one, np.broadcast_to(other, one.shape)) / np.linalg.norm(one, axis=1)
        return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _along(vector: Floats, direction: Floats) -> Floats:
    return np.asarray((vector * direction).sum(axis=1) / np.linalg.norm(direction, axis=1))

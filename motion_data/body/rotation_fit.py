"""From where the joints are to rotations of a rest pose: what animation files want of a motion of positions.

Positions leave open how a bone turns about itself. Where a joint has several children (pelvis, spine3) they
tell its rotation, and the best one in the sense of least squares is taken (Kabsch, "A solution for the best
rotation to relate two sets of vectors", Acta Crystallographica A32, 1976). A joint with one child turns the
shortest way from its parent's frame to where the bone points: no twist about the bone [O]. That is smooth
but where a bone points nearly against its direction of rest: there it may turn about itself within a few
frames, while the joints stay right. Ends (head, wrists, balls of the feet) keep their parent's frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.kinematics import REST, axis_angle_to_matrix, matrix_to_axis_angle
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS, PARENTS

Array = NDArray[np.float64]

CHILDREN = tuple(
    tuple(child for child, parent in enumerate(PARENTS) if parent == joint) for joint in range(len(PARENTS))
)
"""Children of each joint."""

MIN_LENGTH = 1e-9
"""Metres or sine below which a direction is noise."""


@dataclass(frozen=True)
class PosedBody:
    """A motion as animation files hold it: :func:`~motion_data.body.kinematics.forward_kinematics` of the
    three parts gives the joints, as nearly as a body of rigid bones can."""

    rest: Array
    """(22, 3) metres: the body at rest, arms to the sides, y up, facing +z, the pelvis at 0."""
    rotations: Array
    """(T, 22, 3) of each joint against its parent, axis times angle in radians."""
    root: Array
    """(T, 3) metres, where the pelvis is."""


def posed_body(motion: Motion) -> PosedBody:
    """A motion of the common skeleton as a rest pose and rotations: its own where it has all 22, else fitted.

    Raises:
        DataError: a motion without a body, such as a step chart's, or of another skeleton.
    """
    if motion.names != JOINTS:
        found = f"{len(motion.names)} joints ({', '.join(motion.names)})" if motion.names else "no joints"
        raise DataError(f"the motion has {found}; expected the {len(JOINTS)} of the common skeleton")
    joints = np.asarray(motion.joints, dtype=np.float64)
    if motion.rotations is None or motion.rotations.shape[1] != len(JOINTS):
        return fit_rotations(joints)
    return PosedBody(
        _implied_rest(joints, motion.rotations), motion.rotations.astype(np.float64), joints[:, 0]
    )


def fit_rotations(joints: NDArray[np.floating[Any]]) -> PosedBody:
    """Find rotations that bring a rest pose of this dancer's own proportions to the joints.

    Bones point as in :data:`~motion_data.body.kinematics.REST` and have their median length over the frames;
    what branches from pelvis and spine3 has this dancer's own shape, its mean over the frames after each is
    turned onto REST. So the joints come back exactly where bones keep their length and branches their
    shape, up to what lies beyond a bone or branch that does not.

    Args:
        joints: (T, 22, 3) metres, y up, T at least 1, no NaN.

    Raises:
        DataError: another shape.
    """
    joints = np.asarray(joints, dtype=np.float64)
    if joints.shape[1:] != (len(JOINTS), 3) or not len(joints):
        raise DataError(f"joints of shape {joints.shape}; expected (T, {len(JOINTS)}, 3) with T at least 1")
    bones = _bones(joints)
    offsets = _offsets_at_rest(bones)
    facing: list[Array] = []
    local: list[Array] = []
    for joint, children in enumerate(CHILDREN):
        parent = facing[PARENTS[joint]] if joint else np.broadcast_to(np.eye(3), (len(joints), 3, 3))
        match children:
            case ():
                turn = np.broadcast_to(np.eye(3), (len(joints), 3, 3))
            case (child,):
                turn = _shortest_rotation(offsets[child], _to_local(parent, bones[:, child]))
            case _:
                turn = parent.swapaxes(1, 2) @ kabsch_rotation(offsets[list(children)], bones[:, children])
        local.append(turn)
        facing.append(parent @ turn)
    return PosedBody(
        _accumulate_offsets(offsets), matrix_to_axis_angle(np.stack(local, axis=1)), joints[:, 0]
    )


def kabsch_rotation(shape: Array, seen: Array) -> Array:
    """(T, 3, 3) rotations R that make the sum over k of (R · shape_k - seen_k)² least (Kabsch 1976).

    Args:
        shape: (K, 3).
        seen: (T, K, 3). Where all K lie on one line, the turn about it is arbitrary.
    """
    u, _, vt = np.linalg.svd(np.einsum("tki,kj->tij", seen, shape))
    # A reflection may fit better still: the axis that matters least is turned round.
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    rotations: Array = u @ vt
    return rotations


def _bones(joints: Array) -> Array:
    """(T, 22, 3) from each joint's parent to it; 0 for the root."""
    return joints - joints[:, [max(parent, 0) for parent in PARENTS]]


def _offsets_at_rest(bones: Array) -> Array:
    """(22, 3) of this dancer's rest pose."""
    usual = _bones(REST[None])[0]
    lengths = np.median(np.linalg.norm(bones, axis=2), axis=0)
    offsets = _scale_to_length(usual, lengths)
    for children in CHILDREN:
        if len(children) > 1:
            among = list(children)
            turned = _to_local(kabsch_rotation(offsets[among], bones[:, among])[:, None], bones[:, among])
            offsets[among] = _scale_to_length(turned.mean(axis=0), lengths[among])
    return offsets


def _scale_to_length(vectors: Array, lengths: Array) -> Array:
    """(K, 3) in the same directions, of (K,) lengths."""
    own = np.linalg.norm(vectors, axis=1)
    scaled: Array = vectors * (lengths / np.maximum(own, MIN_LENGTH))[:, None]
    return scaled


def _shortest_rotation(rest: Array, seen: Array) -> Array:
    """(T, 3, 3) least rotations that turn direction (3,) to directions (T, 3); none where one has no length.

    Against the direction of rest the axis is open: any that stands upright on it.
    """
    lengths = np.linalg.norm(rest) * np.linalg.norm(seen, axis=1)
    cross, dot = np.cross(rest, seen), seen @ rest
    sine = np.linalg.norm(cross, axis=1)
    upright = np.cross(rest, np.eye(3)[np.abs(rest).argmin()])
    straight = sine <= MIN_LENGTH * lengths
    axis = np.where((straight & (dot < 0))[:, None], upright, np.where(straight[:, None], 0.0, cross))
    axis /= np.maximum(np.linalg.norm(axis, axis=1), 1e-300)[:, None]
    return axis_angle_to_matrix(axis * np.arctan2(sine, dot)[:, None])


def _implied_rest(joints: Array, rotations: NDArray[np.floating[Any]]) -> Array:
    """(22, 3) rest pose that rotations bring to the joints: the median over frames, the pelvis at 0."""
    local = axis_angle_to_matrix(rotations)
    bones = _bones(joints)
    facing = [local[:, 0]]
    offsets = np.zeros((len(JOINTS), 3))
    for joint in range(1, len(JOINTS)):
        parent = facing[PARENTS[joint]]
        offsets[joint] = np.median(_to_local(parent, bones[:, joint]), axis=0)
        facing.append(parent @ local[:, joint])
    return _accumulate_offsets(offsets)


def _to_local(frames: Array, vectors: Array) -> Array:
    """(..., 3) vectors as the turned frames (..., 3, 3) see them."""
    return (frames.swapaxes(-1, -2) @ vectors[..., None])[..., 0]


def _accumulate_offsets(offsets: Array) -> Array:
    """(22, 3) joints from the offsets from their parents, the root at 0."""
    joints = np.zeros_like(offsets)
    for joint, parent in enumerate(PARENTS[1:], 1):
        joints[joint] = joints[parent] + offsets[joint]
    return joints

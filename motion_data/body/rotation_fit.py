"""Rotations of a rest pose fitted to joint positions, for animation files.

Positions do not determine the rotation of a bone about its axis. For a joint with several children (pelvis,
spine3), the least-squares rotation is used (Kabsch, "A solution for the best rotation to relate two sets of
vectors", Acta Crystallographica A32, 1976). A joint with one child has the shortest rotation from its
parent's frame to the direction of the bone, without twist [O]. It is smooth except where a bone is nearly
opposite to its direction at rest: there it may twist within a few frames, although joint positions are
correct. Ends (head, wrists, balls of the feet) have the frame of their parent.
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
"""Length in metres, or sine, below which a direction is undefined."""


@dataclass(frozen=True)
class PosedBody:
    """A motion as in animation files: rest pose, rotations and root.

    :func:`~motion_data.body.kinematics.forward_kinematics` of the three gives the joints, as far as bones are
    rigid.
    """

    rest: Array
    """(22, 3) metres: the rest pose, arms to the sides, y up, facing +z, the pelvis at 0."""
    rotations: Array
    """(T, 22, 3) rotation of each joint relative to its parent, axis times angle in radians."""
    root: Array
    """(T, 3) position of the pelvis in metres."""


def posed_body(motion: Motion) -> PosedBody:
    """Convert a motion of the common skeleton to rest pose and rotations, which are fitted if not all are
    known.

    Raises:
        DataError: the motion has no body, as a step chart, or another skeleton.
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
    """Fit a rest pose with this dancer's proportions, and rotations, to joint positions.

    Bones have the directions of :data:`~motion_data.body.kinematics.REST` and their median length over the
    frames. The children of pelvis and spine3 have their mean shape over the frames, after alignment with
    REST. The joints are reproduced exactly as far as the lengths of bones and the shapes of these branches
    are constant.

    Args:
        joints: (T, 22, 3) metres, y up, T at least 1, no NaN.

    Raises:
        DataError: the shape is different.
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


def kabsch_rotation(shape: Array, vectors: Array) -> Array:
    """Return the (T, 3, 3) rotations R that minimise the sum over k of (R · shape_k - vectors_k)² (Kabsch
    1976).

    Args:
        shape: (K, 3).
        vectors: (T, K, 3). If all K are on one line, the rotation about it is arbitrary.
    """
    u, _, vt = np.linalg.svd(np.einsum("tki,kj->tij", vectors, shape))
    # Exclude reflections by inverting the axis with the smallest singular value.
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    rotations: Array = u @ vt
    return rotations


def _bones(joints: Array) -> Array:
    """(T, 22, 3) vectors from the parent to each joint; 0 for the root."""
    return joints - joints[:, [max(parent, 0) for parent in PARENTS]]


def _offsets_at_rest(bones: Array) -> Array:
    """(22, 3) vectors from the parent to each joint in this dancer's rest pose."""
    lengths = np.median(np.linalg.norm(bones, axis=2), axis=0)
    offsets = _scale_to_length(_bones(REST[None])[0], lengths)
    for children in map(list, CHILDREN):
        if len(children) > 1:
            rotations = kabsch_rotation(offsets[children], bones[:, children])
            aligned = _to_local(rotations[:, None], bones[:, children])
            offsets[children] = _scale_to_length(aligned.mean(axis=0), lengths[children])
    return offsets


def _scale_to_length(vectors: Array, lengths: Array) -> Array:
    """Scale (K, 3) vectors to (K,) lengths."""
    norms = np.linalg.norm(vectors, axis=1)
    scaled: Array = vectors * (lengths / np.maximum(norms, MIN_LENGTH))[:, None]
    return scaled


def _shortest_rotation(rest: Array, directions: Array) -> Array:
    """(T, 3, 3) smallest rotations from a direction (3,) to directions (T, 3); identity if one has no length.

    For opposite directions, any perpendicular axis is used.
    """
    lengths = np.linalg.norm(rest) * np.linalg.norm(directions, axis=1)
    cross, dot = np.cross(rest, directions), directions @ rest
    sine = np.linalg.norm(cross, axis=1)
    perpendicular = np.cross(rest, np.eye(3)[np.abs(rest).argmin()])
    parallel = sine <= MIN_LENGTH * lengths
    axis = np.where((parallel & (dot < 0))[:, None], perpendicular, np.where(parallel[:, None], 0.0, cross))
    axis /= np.maximum(np.linalg.norm(axis, axis=1), 1e-300)[:, None]
    return axis_angle_to_matrix(axis * np.arctan2(sine, dot)[:, None])


def _implied_rest(joints: Array, rotations: NDArray[np.floating[Any]]) -> Array:
    """(22, 3) rest pose implied by joints and rotations: the median over frames, with the pelvis at 0."""
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
    """(..., 3) vectors in the coordinates of rotated frames (..., 3, 3)."""
    return (frames.swapaxes(-1, -2) @ vectors[..., None])[..., 0]


def _accumulate_offsets(offsets: Array) -> Array:
    """(22, 3) joint positions from the offsets to their parents, with the root at 0."""
    joints = np.zeros_like(offsets)
    for joint, parent in enumerate(PARENTS[1:], 1):
        joints[joint] = joints[parent] + offsets[joint]
    return joints

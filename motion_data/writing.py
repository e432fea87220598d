"""A motion in the formats of other programs: BVH for animation, AIST++'s pickle for dance generation."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.aistpp_annotations import FPS
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import INDEX, JOINTS, PARENTS, SMPL_JOINTS
from motionbeat_upstream.atomic_write import atomic_path

SUFFIXES = (".bvh", ".pkl")

UNITS_PER_METRE = 100.0
"""BVH's units a metre: centimetres, as in most mocap files and Mixamo's rigs. BVH says no unit: a program
that takes units for metres (Blender) is to scale by 0.01 on import."""

CHANNEL_ORDER = "ZXY"
"""Of BVH's rotation channels, the outermost first: the order of most mocap files."""

END_SITE_LENGTH = 0.3
"""How far an end site of BVH lies beyond its joint, as a share of the bone before it [O]."""

LEG_JOINTS = [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")]


def export_motion(output: Path, motion: Motion) -> None:
    """Write a motion alone, as the suffix of ``output`` says."""
    write = {".bvh": write_bvh, ".pkl": write_aistpp_pickle}[output.suffix.lower()]
    write(output, motion)


def write_bvh(path: str | Path, motion: Motion) -> None:
    """Write a motion of the common skeleton by pybvh, whole or not at all; frame 0 of the file is its own.

    The file has the 22 joints by their names here, in centimetres, y up. Rotations are the motion's own or
    fitted, see :func:`~motion_data.body.rotation_fit.posed_body`.

    Args:
        path: a name that ends in .bvh.
        motion: its ``start`` and pulses have no place in the file.

    Raises:
        DataError: a motion without a body, such as a step chart's, or another suffix.
    """
    from pybvh import Bvh
    from pybvh.bvhnode import BvhEndSite, BvhJoint, BvhRoot

    from motion_data.body.rotation_fit import CHILDREN, posed_body

    path = Path(path)
    if path.suffix != ".bvh":
        raise DataError(f"{path}: expected a name that ends in .bvh")
    body = posed_body(motion)
    rest = UNITS_PER_METRE * body.rest
    nodes: list[Any] = []
    order: list[int] = []

    def add(joint: int, parent: Any) -> Any:
        """A joint and all below it, depth first as the file has them."""
        offset = rest[joint] - rest[PARENTS[joint]] if parent else np.zeros(3)
        node = (BvhJoint if parent else BvhRoot)(
            JOINTS[joint], offset, rot_channels=CHANNEL_ORDER, parent=parent
        )
        nodes.append(node)
        order.append(joint)
        for child in CHILDREN[joint]:
            node.children.append(add(child, node))
        if not CHILDREN[joint]:
            tip = BvhEndSite(f"{JOINTS[joint]}_end", END_SITE_LENGTH * offset, node)
            node.children.append(tip)
            nodes.append(tip)
        return node

    add(0, None)
    with warnings.catch_warnings():
        # pybvh guesses which way is up, and warns where a dancer's first frame lies; nothing here asks it.
        warnings.simplefilter("ignore")
        still = np.zeros((motion.frames, len(JOINTS), 3))
        file = Bvh(nodes, still[:, 0], still, 1 / motion.fps)
        file.from_axisangle(UNITS_PER_METRE * body.root, body.rotations[:, order], inplace=True)
    # Angles that run on: programs interpolate between frames, and would turn a joint the long way round.
    file.joint_angles = np.unwrap(file.joint_angles, axis=0)
    with atomic_path(path) as draft:
        file.write(draft)


def write_aistpp_pickle(path: str | Path, motion: Motion, fps: float = FPS) -> None:
    """Write a motion of the common skeleton, whole or not at all; plain numpy arrays, nothing else.

    ``smpl_poses`` (T, 72) axis times angle in radians, hands at rest; ``smpl_trans`` (T, 3);
    ``smpl_scaling`` (1,); all float32. As in AIST++ the body is ``smpl_scaling`` times SMPL's at
    ``smpl_trans / smpl_scaling``: the scaling is how long this dancer's legs are against those of
    :data:`~motion_data.body.kinematics.REST`, so that the feet of a body of SMPL's mean shape meet the
    floor. The proportions themselves have no place in the file. Rotations are the motion's own or fitted,
    see :func:`~motion_data.body.rotation_fit.posed_body`.

    Args:
        path: where to; AIST++'s readers expect a name that ends in .pkl.
        motion: its ``start`` and pulses have no place in the file.
        fps: frames a second that are written. The file does not say them: readers of AIST++ take 60.

    Raises:
        DataError: a motion without a body, such as a step chart's.
    """
    from motion_data.body.kinematics import REST
    from motion_data.body.resampling import resample_positions, resample_rotations
    from motion_data.body.rotation_fit import posed_body

    body = posed_body(motion)
    rotations = resample_rotations(body.rotations, motion.fps, fps)
    scaling = _leg_length(body.rest) / _leg_length(REST)
    poses = np.zeros((len(rotations), len(SMPL_JOINTS), 3), np.float32)
    poses[:, : rotations.shape[1]] = rotations
    content = {
        "smpl_poses": poses.reshape(len(poses), -1),
        "smpl_scaling": np.array([scaling], np.float32),
        # SMPL's pelvis does not rest at 0, and its translation counts from where it rests.
        "smpl_trans": (resample_positions(body.root, motion.fps, fps) - scaling * REST[0]).astype(np.float32),
    }
    with atomic_path(path) as draft:
        draft.write_bytes(pickle.dumps(content, protocol=4))


def _leg_length(rest: NDArray[np.float64]) -> float:
    """Metres of both thighs and shins."""
    return float(sum(np.linalg.norm(rest[joint] - rest[PARENTS[joint]]) for joint in LEG_JOINTS))

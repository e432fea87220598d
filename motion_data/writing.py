"""Export of motions: BVH and glTF for animation programs, pickles of AIST++ for dance generation."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.aistpp_annotations import FPS
from motion_data.errors import DataError
from motion_data.glb_file import write_glb
from motion_data.motion import Motion
from motion_data.skeleton import INDEX, JOINTS, PARENTS, SMPL_JOINTS
from motionbeat_upstream.atomic_write import atomic_path

SUFFIXES = (".bvh", ".glb", ".pkl")

UNITS_PER_METRE = 100.0
"""Units of BVH files per metre: centimetres, as in most mocap files and Mixamo's rigs. BVH files do not name
their unit; in programs that assume metres (Blender), scale by 0.01 on import."""

CHANNEL_ORDER = "ZXY"
"""Order of rotation channels in BVH files, outermost first, as in most mocap files."""

END_SITE_LENGTH = 0.3
"""Distance of a BVH end site from its joint, relative to the preceding bone [O]."""

LEG_JOINTS = [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")]


def export_motion(output: Path, motion: Motion) -> None:
    """Write a motion in the format of the suffix of ``output``, one of ``SUFFIXES``."""
    write = {".bvh": write_bvh, ".glb": write_glb, ".pkl": write_aistpp_pickle}[output.suffix.lower()]
    write(output, motion)


def write_bvh(path: str | Path, motion: Motion) -> None:
    """Write a motion of the common skeleton as BVH with pybvh, atomically.

    The file has the 22 joints of :data:`~motion_data.skeleton.JOINTS` in centimetres, y up. Rotations are
    those of the motion, or fitted by :func:`~motion_data.body.rotation_fit.posed_body`.

    Args:
        path: a file name with the suffix .bvh.
        motion: ``start`` and pulses are not written.

    Raises:
        DataError: the motion has no body, as a step chart, or the suffix is different.
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
        """Append a joint and its descendants, depth first as in the file."""
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
        # pybvh guesses the up axis, which is not used, and warns if the dancer lies in the first frame.
        warnings.simplefilter("ignore")
        zeros = np.zeros((motion.frames, len(JOINTS), 3))
        file = Bvh(nodes, zeros[:, 0], zeros, 1 / motion.fps)
        file.from_axisangle(UNITS_PER_METRE * body.root, body.rotations[:, order], inplace=True)
    # Programs interpolate angles between frames, so they must not jump by a full turn.
    file.joint_angles = np.unwrap(file.joint_angles, axis=0)
    with atomic_path(path) as draft:
        file.write(draft)


def write_aistpp_pickle(path: str | Path, motion: Motion, fps: float = FPS) -> None:
    """Write a motion of the common skeleton as a pickle of numpy arrays in the format of AIST++, atomically.

    The arrays are ``smpl_poses`` (T, 72), axis times angle in radians, hands at rest; ``smpl_trans`` (T, 3);
    ``smpl_scaling`` (1,); all float32. As in AIST++, the body is SMPL's at ``smpl_trans / smpl_scaling``,
    scaled by ``smpl_scaling``. The scaling is the ratio of this dancer's leg length to that of
    :data:`~motion_data.body.kinematics.REST`, so that the feet of SMPL's mean shape meet the floor. Other
    proportions are not stored. Rotations are those of the motion, or fitted by
    :func:`~motion_data.body.rotation_fit.posed_body`.

    Args:
        path: output file; AIST++'s readers expect the suffix .pkl.
        motion: ``start`` and pulses are not written.
        fps: frames per second. The file does not contain it; AIST++'s readers assume 60.

    Raises:
        DataError: the motion has no body, as a step chart.
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
        # SMPL's translation is relative to the rest position of its pelvis, which is not 0.
        "smpl_trans": (resample_positions(body.root, motion.fps, fps) - scaling * REST[0]).astype(np.float32),
    }
    with atomic_path(path) as draft:
        draft.write_bytes(pickle.dumps(content, protocol=4))


def _leg_length(rest: NDArray[np.float64]) -> float:
    """Total length of thighs and shins in metres."""
    return float(sum(np.linalg.norm(rest[joint] - rest[PARENTS[joint]]) for joint in LEG_JOINTS))

"""A motion as a pickle of AIST++: SMPL's parameters, which the programs for dance generation read."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from motion_data.body.kinematics import REST
from motion_data.body.resampling import resample_positions, resample_rotations
from motion_data.body.rotation_fit import Array, posed_body
from motion_data.corpora.aistpp_annotations import FPS
from motion_data.motion import Motion
from motion_data.skeleton import INDEX, PARENTS, SMPL_JOINTS
from motionbeat_upstream.atomic_write import atomic_path

LEGS = [INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")]


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
    body = posed_body(motion)
    rotations = resample_rotations(body.rotations, motion.fps, fps)
    scaling = _legs(body.rest) / _legs(REST)
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


def _legs(rest: Array) -> float:
    """Metres of both thighs and shins."""
    return float(sum(np.linalg.norm(rest[joint] - rest[PARENTS[joint]]) for joint in LEGS))

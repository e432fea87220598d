"""Readers of dances in the file formats of published work.

=========================  =================================================  ===========  ======
file                       content                                            frames/s     up
=========================  =================================================  ===========  ======
AIST++ ``.pkl``            smpl_poses (T, 72), smpl_trans (T, 3), optionally  60           y
                           smpl_scaling (1,); needs the SMPL model
EDGE ``.pkl``              full_pose (T, 24, 3), positions                    30           z
Bailando ``.npy``          pred_position (T, 72), positions, in a dictionary  option       y
any ``.npy``               positions (T, 24, 3) or (T, 72)                    option       y
this project's ``.npz``    a motion with the 22 joints, optionally its grid   in the file  y
=========================  =================================================  ===========  ======

Pickles are read by an unpickler that is restricted to arrays.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.kinematics import forward_kinematics
from motion_data.body.smpl import smpl_joints
from motion_data.body.smpl_motion import EDGE_POSES_KEY, parse_smpl_motion
from motion_data.corpora.motion_source import pickled_rate
from motion_data.errors import DataError
from motion_data.motion_file import read_motion
from motion_data.safe_pickle import load_arrays, load_arrays_from_bytes, to_float_array
from motion_data.skeleton import JOINTS, SMPL_JOINTS, SMPL_PARENTS
from motionbeat_upstream.atomic_write import is_hidden
from motionbeat_upstream.file_name import printable
from recipes.dance_metrics.dance import Dance, with_hands

SUFFIXES = (".npy", ".npz", ".pkl")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReadOptions:
    """Information that is not in the files."""

    fps: float | None = None
    """Frames per second instead of the default of the format; ignored for .npz."""
    up: str | None = None
    """Vertical axis, ``y`` or ``z``, instead of the default of the format; ignored for .npz."""
    rest: Floats | None = None
    """(J, 3) rest joints of the SMPL model, for rotations."""
    exact_steps: bool = False
    """Whether the touch-downs in .npz files are exact, as in constructed dances."""


def dance_paths(folder: Path) -> list[Path]:
    """Paths of the dances in a folder, sorted.

    Raises:
        DataError: no such folder, or no dances in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected a folder of dances, {', '.join(SUFFIXES)}")
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in SUFFIXES and path.is_file() and not is_hidden(path)
    )
    if not paths:
        raise DataError(f"{folder}: no dance in it; expected {', '.join(SUFFIXES)} files, one per dance")
    return paths


def read_dance(path: Path, options: ReadOptions) -> Dance:
    """Read a dance; its name is the stem of its file.

    Raises:
        DataError: a damaged file, a pickle with other classes than arrays, other content, or a missing
            option.
    """
    if path.suffix == ".npz":
        return _from_motion(path, options.exact_steps)
    if path.suffix == ".npy":
        joints, fps, up = _positions(_npy(path), str(path)), options.fps, "y"
    else:
        joints, fps, up = _from_pickle(path, options.rest, options.fps)
    if fps is None:
        raise DataError(
            f"{path}: says no frame rate; give it (--fps, --truth-fps), such as 60 for Bailando's"
        )
    if (options.up or up) == "z":
        # A rotation about x by 90 degrees.
        joints = joints[..., [0, 2, 1]] * [1.0, 1.0, -1.0]
    return _dance(path, joints, fps)


def _dance(
    path: Path, joints: Floats, fps: float, beats: Floats | None = None, steps: Floats | None = None
) -> Dance:
    try:
        return Dance(printable(path.stem), joints, fps, beats, steps)
    except DataError as error:
        raise DataError(f"{path.parent}/{error}") from error


def _from_motion(path: Path, exact_steps: bool) -> Dance:
    motion, grid = read_motion(path)
    missing = [name for name in JOINTS if name not in motion.names]
    if missing:
        raise DataError(f"{path}: has no {', '.join(missing[:3])}; expected all 22 joints of the skeleton")
    joints = with_hands(motion.joints[:, [motion.names.index(name) for name in JOINTS]])
    beats = None if grid is None else grid.beats - motion.start
    steps = np.unique(np.concatenate([np.empty(0), *motion.pulses.values()])) - motion.start
    return _dance(path, joints, motion.fps, beats, steps if exact_steps else None)


def _npy(path: Path) -> Any:
    """The array or pickled object of a .npy file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    # Magic and version take 8 bytes, then the length of the header 2 or 4.
    size = 2 if data[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    if b"'descr': '|O'" in data[:start]:
        content = load_arrays_from_bytes(data[start:], str(path))
        return content.item() if isinstance(content, np.ndarray) and content.size == 1 else content
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)  # type: ignore[no-untyped-call]
    except Exception as error:  # a damaged file raises errors of many kinds
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a complete .npy file ({reason}); write it again") from error


def _positions(content: Any, source: str) -> Floats:
    """(T, 24, 3) positions from an array, or from a dictionary with pred_position."""
    if isinstance(content, dict):
        if "pred_position" not in content:
            raise DataError(
                f"{source}: contains {_describe(content)}; expected pred_position, as in Bailando's files"
            )
        content = content["pred_position"]
    joints = to_float_array(content, source)
    if joints.ndim == 2 and joints.shape[1] == 72:
        joints = joints.reshape(len(joints), 24, 3)
    if joints.ndim != 3 or joints.shape[1:] != (24, 3):
        raise DataError(
            f"{source}: an array of shape {joints.shape}; expected positions (T, 24, 3) or (T, 72)"
        )
    return joints


def _from_pickle(path: Path, rest: Floats | None, fps: float | None) -> tuple[Floats, float, str]:
    """(T, 24, 3) joints, ``fps`` or the rate of the format, and the vertical axis of the format."""
    content = load_arrays(path)
    if isinstance(content, dict) and EDGE_POSES_KEY in content:
        positions = _positions(content[EDGE_POSES_KEY], f"{path}: {EDGE_POSES_KEY}")
        return positions, pickled_rate(content, path) if fps is None else fps, "z"
    if not isinstance(content, dict) or not {"smpl_poses", "smpl_trans"} <= content.keys():
        raise DataError(
            f"{path}: contains {_describe(content)}; expected smpl_poses and smpl_trans as in AIST++, "
            "or full_pose as in EDGE"
        )
    if rest is None:
        raise DataError(f"{path}: contains rotations; give the SMPL model (--smpl)")
    motion = parse_smpl_motion(content, str(path), joints=24)
    joints = _posed_joints(rest, motion.poses.reshape(len(motion.poses), 72), motion.translation)
    return joints, pickled_rate(content, path) if fps is None else fps, "y"


def _describe(content: Any) -> str:
    if isinstance(content, dict):
        return " ".join(", ".join(map(str, content)).split())[:200]
    return f"a {type(content).__name__}"


def _posed_joints(rest: Floats, poses: Floats, translation: Floats) -> Floats:
    """(T, 24, 3) joints in metres of (T, 72) poses of the mean shape, as in published evaluations.

    SMPL+H and SMPL-X have fingers instead of hand joints; for them the hands continue the forearms.
    """
    if len(rest) != len(SMPL_JOINTS):
        return with_hands(smpl_joints(rest, poses, translation))
    return forward_kinematics(poses.reshape(len(poses), -1, 3), translation, rest, SMPL_PARENTS)

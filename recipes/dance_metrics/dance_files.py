"""Dances from the files that works on dance generation write.

=========================  =================================================  ===========  ======
file                       holds                                              frames/s     up
=========================  =================================================  ===========  ======
AIST++ ``.pkl``            smpl_poses (T, 72), smpl_trans (T, 3) and perhaps  60           y
                           smpl_scaling (1,); needs the SMPL model
EDGE ``.pkl``              full_pose (T, 24, 3), positions                    30           z
Bailando ``.npy``          pred_position (T, 72), positions, in a dictionary  to be given  y
any ``.npy``               positions (T, 24, 3) or (T, 72)                    to be given  y
this project's ``.npz``    a motion with the 22 joints, perhaps its grid      in the file  y
=========================  =================================================  ===========  ======

Pickles are read by an unpickler that knows arrays alone; nothing in them is run.
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
class Reading:
    """What the files do not say."""

    fps: float | None = None
    """Frames a second, instead of a format's own; .npz files know better."""
    up: str | None = None
    """``y`` or ``z``, instead of a format's own; .npz files are y up."""
    rest: Floats | None = None
    """(J, 3) joints at rest of the SMPL model that rotations are of."""
    exact_steps: bool = False
    """Whether the touch-downs in .npz files are the true ones, as a constructed dancer's are."""


def dance_paths(folder: Path) -> list[Path]:
    """The files of a folder that may be dances, by name.

    Raises:
        DataError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one of dances, {', '.join(SUFFIXES)}")
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in SUFFIXES and path.is_file() and not is_hidden(path)
    )
    if not paths:
        raise DataError(f"{folder}: no dance in it; expected {', '.join(SUFFIXES)} files, one a dance")
    return paths


def read_dance(path: Path, reading: Reading) -> Dance:
    """Read one dance, called as its file is.

    Raises:
        DataError: damaged, code in a pickle, another content, or an option that is missing.
    """
    if path.suffix == ".npz":
        return _from_motion(path, reading.exact_steps)
    if path.suffix == ".npy":
        joints, fps, up = _positions(_npy(path), str(path)), reading.fps, "y"
    else:
        joints, fps, up = _from_pickle(path, reading.rest, reading.fps)
    if fps is None:
        raise DataError(
            f"{path}: says no frame rate; give it (--fps, --truth-fps), such as 60 for Bailando's"
        )
    if (reading.up or up) == "z":
        # A quarter turn about x: z goes up, and nothing is mirrored.
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
    """The array of a .npy file, or what its pickle holds."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    # By the format's definition: magic and version in 8 bytes, then the header's length in 2 or 4.
    size = 2 if data[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    if b"'descr': '|O'" in data[:start]:
        held = load_arrays_from_bytes(data[start:], str(path))
        return held.item() if isinstance(held, np.ndarray) and held.size == 1 else held
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)  # type: ignore[no-untyped-call]
    except Exception as error:  # a damaged file raises errors of many kinds
        fault = " ".join(str(error).split())
        raise DataError(f"{path}: not a whole .npy file ({fault}); write it again") from error


def _positions(held: Any, place: str) -> Floats:
    """(T, 24, 3) of an array, or of a dictionary with pred_position."""
    if isinstance(held, dict):
        if "pred_position" not in held:
            raise DataError(f"{place}: holds {_told(held)}; expected pred_position, as Bailando writes it")
        held = held["pred_position"]
    joints = to_float_array(held, place)
    if joints.ndim == 2 and joints.shape[1] == 72:
        joints = joints.reshape(len(joints), 24, 3)
    if joints.ndim != 3 or joints.shape[1:] != (24, 3):
        raise DataError(
            f"{place}: an array of shape {joints.shape}; expected positions (T, 24, 3) or (T, 72)"
        )
    return joints


def _from_pickle(path: Path, rest: Floats | None, fps: float | None) -> tuple[Floats, float, str]:
    """Joints (T, 24, 3), ``fps`` or else the format's rate, and what is up in it."""
    held = load_arrays(path)
    if isinstance(held, dict) and EDGE_POSES_KEY in held:
        positions = _positions(held[EDGE_POSES_KEY], f"{path}: {EDGE_POSES_KEY}")
        return positions, pickled_rate(held, path) if fps is None else fps, "z"
    if not isinstance(held, dict) or not {"smpl_poses", "smpl_trans"} <= held.keys():
        raise DataError(
            f"{path}: holds {_told(held)}; expected smpl_poses and smpl_trans as in AIST++, or full_pose as "
            f"from EDGE"
        )
    if rest is None:
        raise DataError(f"{path}: holds rotations; give the SMPL model that makes joints of them (--smpl)")
    motion = parse_smpl_motion(held, str(path), joints=24)
    joints = _posed_joints(rest, motion.poses.reshape(len(motion.poses), 72), motion.translation)
    return joints, pickled_rate(held, path) if fps is None else fps, "y"


def _told(held: Any) -> str:
    if isinstance(held, dict):
        return " ".join(", ".join(map(str, held)).split())[:200]
    return f"a {type(held).__name__}"


def _posed_joints(rest: Floats, poses: Floats, translation: Floats) -> Floats:
    """(T, 24, 3) metres of (T, 72) poses in the mean shape, as the published evaluations take them.

    SMPL's own hands where the model has SMPL's 24 joints; SMPL+H and SMPL-X have fingers in their place,
    and get hands that continue the forearms.
    """
    if len(rest) != len(SMPL_JOINTS):
        return with_hands(smpl_joints(rest, poses, translation))
    return forward_kinematics(poses.reshape(len(poses), -1, 3), translation, rest, SMPL_PARENTS)

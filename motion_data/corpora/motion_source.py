"""Motions as people have them: BVH files, arrays of joints in .npz, AIST++'s pickles."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.kinematics import forward_kinematics as turned_skeleton
from motion_data.body.smpl import body_rotations
from motion_data.corpora.bvh_file import forward_kinematics, read_bvh_file
from motion_data.errors import DataError
from motion_data.motion import FASTEST_RATE, SLOWEST_RATE
from motion_data.safe_pickle import load_arrays
from motion_data.skeleton import JOINTS

SUFFIXES = (".bvh", ".npz", ".pkl")

POSITIONS = ("joints", "positions", "pos_m", "world", "keypoints3d")
"""What arrays of positions are called in .npz files; another one is chosen as ``file.npz#name``."""

COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""Joints of AIST++'s keypoints3d."""

AIST_RATE = 60.0
"""Frames a second of AIST++, whose pickles do not say it."""

REST_SECONDS = 0.2
"""A rest pose in front of a motion is looked for within this time; exporters put one frame of it there,
and resamplers smear it over a few."""

LEAP = 2.0
"""Times the fastest later frame that the first frame's speed must have to be a leap out of a rest pose."""

IN_VIEW = 0.5
"""Least mean visibility for a pose tracker's joint to count as seen."""


@dataclass(frozen=True)
class MotionSource:
    """A motion as its file has it."""

    names: tuple[str, ...]
    joints: NDArray[np.floating[Any]]
    """(T, J, 3) in the file's unit and axes; NaN where a joint was lost."""
    fps: float
    dropped: int = 0
    """Frames of a rest pose that were taken off the beginning."""
    offset: float | None = None
    """Seconds from the file's first frame to the start of its audio, where the file says so."""
    visible: NDArray[np.floating[Any]] | None = None
    """(J,) mean visibility in [0, 1] where a pose tracker gives it."""

    @property
    def start(self) -> float:
        """Seconds from the file's first frame to the first that is kept."""
        return self.dropped / self.fps

    @property
    def feet_in_view(self) -> bool:
        """Whether ankles and toes were seen, as far as anything is known of it."""
        if self.visible is None:
            return True
        feet = [
            seen
            for name, seen in zip(self.names, self.visible, strict=True)
            if any(part in name.lower() for part in ("ankle", "foot", "heel", "toe"))
        ]
        return bool(np.mean(feet) >= IN_VIEW) if feet else True


def read_source(path: str | Path, fps: float | None = None) -> MotionSource:
    """Read a motion.

    Args:
        path: .bvh; .npz with positions (T, J, 3) under a name of ``POSITIONS`` (a fourth number a joint is
            its visibility), ``names`` and ``fps``; AIST++'s .pkl, where poses of SMPL are put on an average
            skeleton (the corpus aistpp takes the user's own SMPL file). ``file.npz#array`` names the array.
        fps: overrides what the file says.

    Raises:
        DataError: no such file, a suffix or a layout that is not known, or what the file's reader raises.
    """
    file, _, array = str(path).partition("#")
    path = Path(file)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if fps is not None and not SLOWEST_RATE <= fps <= FASTEST_RATE:
        raise DataError(
            f"{path}: {fps:g} frames a second given; expected {SLOWEST_RATE:g} to {FASTEST_RATE:g}"
        )
    match path.suffix.lower():
        case ".bvh":
            return _from_bvh(path, fps)
        case ".npz":
            return _from_npz(path, array, fps)
        case ".pkl":
            return _from_pickle(path, fps)
    raise DataError(f"{path}: motions are read from {', '.join(SUFFIXES)}; convert it to one of them")


def rest_frames(joints: NDArray[np.floating[Any]], fps: float) -> int:
    """How many frames at the beginning belong to a rest pose that the motion leaps out of; mostly 0.

    CMU's BVH files begin with a T-pose, where they were resampled with a few frames on the way from it.
    The leap is told from a fast beginning by its speed, relative to the root: twice that of the fastest
    later frame.
    """
    head = round(REST_SECONDS * fps)
    if len(joints) < 5 * head:
        return 0
    body = joints - joints[:, :1]
    steps = np.linalg.norm(np.diff(body, axis=0), axis=2)
    known = np.isfinite(steps)
    speed = np.sum(steps, axis=1, where=known) / np.maximum(known.sum(axis=1), 1)
    fastest = speed[head:].max()
    if not speed[0] > LEAP * fastest:
        return 0
    return int(np.argmax(speed <= fastest))


def _from_bvh(path: Path, fps: float | None) -> MotionSource:
    bvh = read_bvh_file(path)
    joints = forward_kinematics(bvh)
    dropped = rest_frames(joints, fps or bvh.fps)
    return MotionSource(bvh.names, joints[dropped:], fps or bvh.fps, dropped)


def _from_npz(path: Path, array: str, fps: float | None) -> MotionSource:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file if not array or name in ("names", "fps", array)}
            offset = float(file["audio_offset_s"]) if "audio_offset_s" in file else None
            listed = list(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a whole .npz of arrays ({error}); export it again") from error
    chosen = [name for name in ((array,) if array else POSITIONS) if name in arrays]
    if not chosen:
        raise DataError(
            f"{path}: no array of positions {array or ', '.join(POSITIONS)}; it holds {', '.join(listed)}: "
            f"name the array as {path.name}#NAME"
        )
    positions = arrays[chosen[0]]
    if positions.ndim != 3 or positions.shape[2] not in (3, 4) or positions.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: {chosen[0]} has shape {positions.shape} of {positions.dtype}; expected (T, J, 3), "
            "or (T, J, 4) with visibility"
        )
    if "names" not in arrays or arrays["names"].shape != positions.shape[1:2]:
        found = f"{arrays['names'].shape}" if "names" in arrays else "none"
        raise DataError(f"{path}: `names` is {found}; expected {positions.shape[1]} joint names")
    rate = _rate(path, fps, arrays)
    positions = positions.astype(np.float64)
    visible = np.nan_to_num(positions[..., 3]).mean(axis=0) if positions.shape[2] == 4 else None
    names = tuple(str(name) for name in arrays["names"])
    return MotionSource(names, _two_frames(path, positions[..., :3]), rate, 0, offset, visible)


def _rate(path: Path, fps: float | None, arrays: Mapping[str, NDArray[Any]]) -> float:
    if fps is not None:
        return fps
    if "fps" not in arrays:
        raise DataError(f"{path}: no `fps`; give the frames a second")
    value = arrays["fps"]
    rate = float(value) if value.size == 1 and value.dtype.kind in "fiu" else float("nan")
    if not SLOWEST_RATE <= rate <= FASTEST_RATE:
        raise DataError(
            f"{path}: `fps` is {value}; expected {SLOWEST_RATE:g} to {FASTEST_RATE:g}: give the true rate"
        )
    return rate


def _two_frames(path: Path, joints: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    if len(joints) < 2:
        raise DataError(f"{path}: {len(joints)} frame(s); a motion needs at least 2")
    return joints


def _from_pickle(path: Path, fps: float | None) -> MotionSource:
    content = load_arrays(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: the pickle holds a {type(content).__name__}; expected AIST++'s dictionary")
    for name in ("keypoints3d_optim", "keypoints3d"):
        if name in content:
            joints = np.asarray(content[name], dtype=np.float64)
            if joints.ndim != 3 or joints.shape[1:] != (len(COCO), 3):
                raise DataError(f"{path}: {name} has shape {joints.shape}; expected (T, {len(COCO)}, 3)")
            return MotionSource(COCO, _two_frames(path, joints), fps or AIST_RATE)
    if "smpl_poses" in content and "smpl_trans" in content:
        rotations = body_rotations(np.asarray(content["smpl_poses"], dtype=np.float64))
        scale = float(np.asarray(content.get("smpl_scaling", 1.0)).reshape(-1)[0])
        root = np.asarray(content["smpl_trans"], dtype=np.float64) / scale
        if root.shape != (len(rotations), 3) or not np.isfinite(root).all():
            raise DataError(f"{path}: smpl_trans has shape {root.shape}; expected ({len(rotations)}, 3)")
        joints = turned_skeleton(rotations, root)
        return MotionSource(JOINTS, _two_frames(path, joints), fps or AIST_RATE)
    raise DataError(
        f"{path}: the pickle holds {', '.join(map(str, content))}; expected AIST++'s keypoints3d_optim, "
        f"keypoints3d, or smpl_poses with smpl_trans"
    )

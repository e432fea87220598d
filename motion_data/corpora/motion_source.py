"""Motions as people have them: BVH files, arrays of joints in .npz, AIST++'s pickles."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.kinematics import forward_kinematics as turned_skeleton
from motion_data.body.smpl import body_rotations
from motion_data.body.smpl_motion import EDGE_POSES_KEY, parse_smpl_motion
from motion_data.corpora.bvh_file import forward_kinematics, read_bvh_file
from motion_data.errors import DataError
from motion_data.files import read_npz
from motion_data.motion import MAX_FPS, MIN_FPS
from motion_data.safe_pickle import load_arrays, to_float_array
from motion_data.skeleton import JOINTS, SMPL_JOINTS

SUFFIXES = (".bvh", ".npz", ".pkl")

POSITIONS = ("joints", "positions", "pos_m", "world", "keypoints3d")
"""What arrays of positions are called in .npz files; another one is chosen as ``file.npz#name``."""

COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""Joints of AIST++'s keypoints3d."""

AIST_RATE, EDGE_RATE = 60.0, 30.0
"""Frames a second of AIST++ and of what EDGE writes; their pickles do not say it."""

OFFSET = "audio_offset_s"

REST_SECONDS = 0.2
"""A rest pose in front of a motion is looked for within this time; exporters put one frame of it there,
and resamplers smear it over a few."""

LEAP = 2.0
"""Times the fastest later frame that the first frame's speed must have to be a leap out of a rest pose."""

IN_VIEW = 0.5
"""Least mean visibility for a pose tracker's joint to count as seen."""


log = logging.getLogger(__name__)


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


def read_source(path: str | Path, fps: float | None = None, offset: float | None = None) -> MotionSource:
    """Read a motion.

    Args:
        path: .bvh; .npz with positions (T, J, 3) under a name of ``POSITIONS`` (a fourth number a joint is
            its visibility), ``names`` and ``fps``; AIST++'s .pkl, where poses of SMPL are put on an average
            skeleton (the corpus aistpp takes the user's own SMPL file); EDGE's .pkl.
            ``file.npz#array`` names the array.
        fps: overrides what the file says.
        offset: overrides what the file says, in seconds as in :class:`MotionSource`.

    Raises:
        DataError: no such file, a suffix or a layout that is not known, or what the file's reader raises.
    """
    file, _, array = str(path).partition("#")
    path = Path(file)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:
        raise DataError(f"{path}: {fps:g} frames a second given; expected {MIN_FPS:g} to {MAX_FPS:g}")
    match path.suffix.lower():
        case ".bvh":
            source = _from_bvh(path, fps)
        case ".npz":
            source = _from_npz(path, array, fps, offset)
        case ".pkl":
            source = _from_pickle(path, fps)
        case _:
            raise DataError(f"{path}: motions are read from {', '.join(SUFFIXES)}; convert it to one of them")
    endless = int(np.isinf(source.joints).sum())
    if endless:
        raise DataError(f"{path}: {endless} coordinates are infinite; export it again, or leave it out")
    return source


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


def pickled_rate(content: Mapping[Any, Any], path: Path) -> float:
    """Frames a second that the keys of a dance's pickle imply: EDGE's 30, or AIST++'s 60.

    Where the keys are neither's for certain, a warning in the log says that 60 was taken.
    """
    if EDGE_POSES_KEY in content:
        return EDGE_RATE
    if "smpl_poses" in content and "smpl_scaling" not in content:
        log.warning(
            "%s: says no frame rate and has neither AIST++'s smpl_scaling nor EDGE's %s; read at %g frames a "
            "second: if that is wrong, give the rate (--fps, or the column fps)",
            path,
            EDGE_POSES_KEY,
            AIST_RATE,
        )
    return AIST_RATE


def _from_bvh(path: Path, fps: float | None) -> MotionSource:
    bvh = read_bvh_file(path, fps)
    joints = forward_kinematics(bvh)
    dropped = rest_frames(joints, bvh.fps)
    return MotionSource(bvh.names, joints[dropped:], bvh.fps, dropped)


def _from_npz(path: Path, array: str, fps: float | None, offset: float | None) -> MotionSource:
    arrays = read_npz(path, ("names", "fps", OFFSET, array) if array else None)
    chosen = [name for name in ((array,) if array else POSITIONS) if name in arrays]
    if not chosen:
        raise DataError(
            f"{path}: no array of positions {array or ', '.join(POSITIONS)}; it holds "
            f"{', '.join(read_npz(path))}: name the array as {path.name}#NAME"
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
    rate = stated_rate(path, arrays, fps)
    if offset is None and OFFSET in arrays:
        offset = _number(arrays[OFFSET])
        if not np.isfinite(offset):
            raise DataError(
                f"{path}: `{OFFSET}` is {_shown(arrays[OFFSET])}; expected one number of seconds: correct "
                f"it, or give the offset (the column offset)"
            )
    positions = _two_frames(path, positions.astype(np.float64))
    visible = np.nan_to_num(positions[..., 3]).mean(axis=0) if positions.shape[2] == 4 else None
    names = tuple(str(name) for name in arrays["names"])
    return MotionSource(names, positions[..., :3], rate, 0, offset, visible)


def stated_rate(path: Path, arrays: Mapping[str, NDArray[Any]], fps: float | None = None) -> float:
    """Frames a second of an .npz, where ``fps`` does not override them.

    Raises:
        DataError: it states none, or one that cannot be.
    """
    if fps is not None:
        return fps
    if "fps" not in arrays:
        raise DataError(f"{path}: no `fps`; give the frames a second")
    rate = _number(arrays["fps"])
    if not MIN_FPS <= rate <= MAX_FPS:
        raise DataError(
            f"{path}: `fps` is {_shown(arrays['fps'])}; expected {MIN_FPS:g} to {MAX_FPS:g}: give "
            f"the true rate"
        )
    return rate


def _number(array: NDArray[Any]) -> float:
    """The one number of an array, or NaN."""
    return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else float("nan")


def _shown(array: NDArray[Any]) -> str:
    return " ".join(str(array.item()).split())[:30] if array.size == 1 else f"an array of shape {array.shape}"


def _two_frames(path: Path, joints: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    if len(joints) < 2:
        raise DataError(f"{path}: {len(joints)} frame(s); a motion needs at least 2")
    return joints


def _from_pickle(path: Path, fps: float | None) -> MotionSource:
    content = load_arrays(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: the pickle holds a {type(content).__name__}; expected AIST++'s dictionary")
    for name, known in ((EDGE_POSES_KEY, SMPL_JOINTS), ("keypoints3d_optim", COCO), ("keypoints3d", COCO)):
        if name in content:
            positions = to_float_array(content[name], f"{path}: {name}")
            if positions.ndim != 3 or positions.shape[1:] != (len(known), 3):
                raise DataError(f"{path}: {name} has shape {positions.shape}; expected (T, {len(known)}, 3)")
            return MotionSource(known, _two_frames(path, positions), fps or pickled_rate(content, path))
    if "smpl_poses" in content and "smpl_trans" in content:
        motion = parse_smpl_motion(content, str(path))
        joints = turned_skeleton(body_rotations(motion.poses), motion.translation)
        return MotionSource(JOINTS, joints, fps or pickled_rate(content, path))
    held = " ".join(", ".join(map(str, content)).split())[:200]
    raise DataError(
        f"{path}: the pickle holds {held}; expected EDGE's {EDGE_POSES_KEY}, or AIST++'s "
        f"keypoints3d_optim, keypoints3d, or smpl_poses with smpl_trans"
    )

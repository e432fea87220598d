"""The pose of the dancer in every picture of a video, by MediaPipe, whose wheel brings its models.

Only the model of complexity 1 (full) lies in the wheel; the others are fetched from the network when they are
first used, so they are not offered.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.corpora.video.container import Container, read_frames
from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path

LANDMARKS = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye"),
    *("right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky"),
    *("right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel"),
    *("left_foot_index", "right_foot_index"),
)
"""MediaPipe's 33 landmarks, in its order."""


@dataclass(frozen=True)
class Poses:
    """One body over the pictures of a video; NaN, and visibility 0, where none was found."""

    times: NDArray[np.float64]
    """(T,) seconds on the clock of the container at which each picture is shown."""
    world: NDArray[np.float32]
    """(T, 33, 3) metres from the middle of the hips: x to the right of the picture, y down, z away."""
    image: NDArray[np.float32]
    """(T, 33, 2) pixels: x to the right, y down."""
    visibility: NDArray[np.float32]
    """(T, 33) in [0, 1]: how likely each landmark is in the picture and not hidden."""


def read_poses(path: Path, container: Container, seconds: float | None = None) -> Poses:
    """Find the pose in every picture of a video, or of its first ``seconds``, with a progress bar.

    ``container`` is what :func:`~motion_data.corpora.video.container.probe` found in it.

    Raises:
        DataError: no MediaPipe, or pictures that cannot be decoded.
    """
    share = 1.0 if seconds is None else min(1.0, seconds / max(container.seconds, 1e-9))
    times: list[float] = []
    rows: list[NDArray[np.float32]] = []
    with _model() as model:
        frames = read_frames(path, seconds)
        total = round(container.frames * share) or None
        for time, picture in tqdm(frames, desc=path.name, unit="picture", total=total, leave=False):
            if times and time <= times[-1]:
                continue
            times.append(time)
            rows.append(_landmarks(model.process(np.ascontiguousarray(picture)), picture.shape))
    table = np.stack(rows)
    return Poses(np.array(times), table[..., :3], table[..., 3:5], np.nan_to_num(table[..., 5]))


def write_poses(path: Path, poses: Poses, state: str) -> None:
    """Keep poses, which take long to find, with the state of the file that they were found in."""
    with atomic_path(path) as draft:
        np.savez_compressed(draft, state=np.array(state), **vars(poses))


def kept_poses(path: Path, state: str) -> Poses | None:
    """What :func:`write_poses` kept, if it is whole and of the same state."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["state"]) != state:
                return None
            return Poses(arrays["times"], arrays["world"], arrays["image"], arrays["visibility"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _model() -> Any:
    # MediaPipe's native parts write to the terminal unless told so before they are loaded.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        from mediapipe.python.solutions.pose import Pose
    except ImportError as error:
        raise DataError(
            f"poses are found by mediapipe, which cannot be imported ({error}); "
            f"in MotionBeat's folder: pip install '.[video]'"
        ) from error
    return Pose(model_complexity=1)


def _landmarks(found: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(33, 6): world x, y, z, picture x, y in pixels, visibility."""
    if found.pose_world_landmarks is None:
        return np.full((len(LANDMARKS), 6), np.nan, dtype=np.float32)
    height, width = shape[:2]
    return np.array(
        [
            (world.x, world.y, world.z, image.x * width, image.y * height, world.visibility)
            for world, image in zip(
                found.pose_world_landmarks.landmark, found.pose_landmarks.landmark, strict=True
            )
        ],
        dtype=np.float32,
    )

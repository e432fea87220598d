"""A body that steps and waves, for tests: 22 joints in metres, y up, facing +z, and files made of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from motion_data.body.kinematics import REST
from motion_data.skeleton import INDEX, JOINTS


def moving_body(frames: int = 60, fps: float = 30.0, seed: int = 0) -> NDArray[np.float64]:
    """(T, 22, 3): feet lifted in turn every half second, arms waving, the floor at y = 0."""
    generator = np.random.default_rng(seed)
    times = np.arange(frames) / fps
    joints = np.tile(REST - [0.0, REST[:, 1].min(), 0.0], (frames, 1, 1))
    for side, phase in (("left", 0.0), ("right", np.pi)):
        lift = 0.15 * np.maximum(0.0, np.sin(2 * np.pi * times + phase))
        for part in ("ankle", "foot"):
            joints[:, INDEX[f"{side}_{part}"], 1] += lift
        wave = 0.1 * np.sin(2 * np.pi * generator.uniform(0.5, 2) * times)
        joints[:, INDEX[f"{side}_wrist"], 1] += wave
    return joints


BVH_JOINTS = {
    **{"Hips": ("", "pelvis"), "Spine": ("Hips", "spine1"), "Spine1": ("Spine", "spine2")},
    **{"Spine2": ("Spine1", "spine3"), "Neck": ("Spine2", "neck"), "Head": ("Neck", "head")},
    **{
        f"{side}{name}": (
            parent if parent in ("Hips", "Spine2") else side + parent,
            f"{side.lower()}_{joint}",
        )
        for side in ("Left", "Right")
        for name, parent, joint in (
            ("UpLeg", "Hips", "hip"),
            ("Leg", "UpLeg", "knee"),
            ("Foot", "Leg", "ankle"),
            ("ToeBase", "Foot", "foot"),
            ("Shoulder", "Spine2", "collar"),
            ("Arm", "Shoulder", "shoulder"),
            ("ForeArm", "Arm", "elbow"),
            ("Hand", "ForeArm", "wrist"),
        )
    },
}
"""Name, parent and common joint, parents first."""


def bvh_text(
    orders: Sequence[str],
    angles: NDArray[np.float64],
    root: NDArray[np.float64],
    frame_time: str = "0.0333333",
    scale: float = 100.0,
    names: Sequence[str] = tuple(BVH_JOINTS),
    moved: NDArray[np.float64] | None = None,
) -> str:
    """A BVH file of the resting body with joints of ``names``.

    Args:
        orders: of the rotation channels, a joint each, such as ZXY.
        angles: (T, J, 3) degrees, in each joint's own order.
        root: (T, 3) positions of the root.
        frame_time: as it is written.
        scale: units a metre.
        names: keys of ``BVH_JOINTS`` with their parents among them.
        moved: (T, J, 3) position channels of all joints, or None for the root alone.
    """
    lines = ["HIERARCHY"]
    children = {name: [other for other in names if BVH_JOINTS[other][0] == name] for name in names}
    written: list[int] = []

    def add(name: str, depth: int) -> None:
        index = list(names).index(name)
        written.append(index)
        parent = BVH_JOINTS[name][0]
        offset = rest_offset(name) * scale
        pad = "\t" * depth
        places = "Xposition Yposition Zposition " if not parent or moved is not None else ""
        turns = " ".join(f"{axis}rotation" for axis in orders[index])
        lines.extend(
            [
                f"{pad}{'JOINT' if parent else 'ROOT'} {name}",
                pad + "{",
                f"{pad}\tOFFSET {' '.join(f'{x:.6f}' for x in offset)}",
                f"{pad}\tCHANNELS {6 if places else 3} {places}{turns}",
            ]
        )
        for child in children[name]:
            add(child, depth + 1)
        if not children[name]:
            lines.extend([f"{pad}\tEnd Site", pad + "\t{", f"{pad}\t\tOFFSET 0 5 1", pad + "\t}"])
        lines.append(pad + "}")

    add(names[0], 0)
    lines += ["MOTION", f"Frames: {len(angles)}", f"Frame Time: {frame_time}"]
    for frame in range(len(angles)):
        numbers: list[float] = []
        for index in written:
            if index == 0:
                numbers += root[frame].tolist()
            elif moved is not None:
                numbers += moved[frame, index].tolist()
            numbers += angles[frame, index].tolist()
        lines.append(" ".join(f"{x:.6f}" for x in numbers))
    return "\n".join(lines) + "\n"


def rest_offset(name: str) -> NDArray[np.float64]:
    """(3,) metres of a joint from its parent in the resting body; 0 for the root."""
    parent, joint = BVH_JOINTS[name]
    if not parent:
        return np.zeros(3)
    offset: NDArray[np.float64] = REST[INDEX[joint]] - REST[INDEX[BVH_JOINTS[parent][1]]]
    return offset


def plain_bvh(frames: int = 90, frame_time: str = "0.0333333", scale: float = 100.0, seed: int = 0) -> str:
    """A body that walks in small turns, in centimetres unless scaled otherwise."""
    generator = np.random.default_rng(seed)
    times = np.linspace(0, frames / 30, frames)[:, None, None]
    speed = generator.uniform(0.3, 1.0, (1, len(BVH_JOINTS), 3))
    angles: NDArray[np.float64] = 10.0 * np.sin(2 * np.pi * speed * times)
    angles[:, 0, :] = 0
    root = np.tile(scale * np.array([0.0, 0.95, 0.0]), (frames, 1))
    root[:, 0] += scale * 0.1 * np.sin(times[:, 0, 0])
    return bvh_text(["ZXY"] * len(BVH_JOINTS), angles, root, frame_time, scale)


def write_clicks(path: Path, seconds: float, rate: int = 8000) -> None:
    """A sound file with a click every half second."""
    sound = np.zeros(round(seconds * rate), dtype=np.float32)
    sound[:: rate // 2] = 0.9
    soundfile.write(path, sound, rate)


def write_joints(path: Path, joints: NDArray[np.float64], fps: float | None = 30.0, **others: object) -> None:
    """An .npz of joints on the common skeleton's names."""
    rate = {} if fps is None else {"fps": np.array(fps)}
    arrays = {"joints": joints, "names": np.array(JOINTS), **rate, **others}
    np.savez(path, **{name: np.asarray(array) for name, array in arrays.items()})

"""Motions as glTF, read by trimesh, and the animation by the format's definition."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from motion_data.body.rotation_fit import posed_body
from motion_data.errors import DataError
from motion_data.glb_file import bone_meshes, quaternions, write_glb
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS, PARENTS
from tests.motion_data.test_writing import STEPS, dancer, posed


def read_glb(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk of a file."""
    data = path.read_bytes()
    magic, version, size = struct.unpack("<4sII", data[:12])
    assert (magic, version, size) == (b"glTF", 2, len(data))
    length, kind = struct.unpack("<I4s", data[12:20])
    assert kind == b"JSON"
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def array(file: dict[str, Any], content: bytes, number: int) -> NDArray[np.floating[Any]]:
    accessor = file["accessors"][number]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
    dtype = {5126: np.float32, 5121: np.uint8}[accessor["componentType"]]
    view = file["bufferViews"][accessor["bufferView"]]
    values = np.frombuffer(content, dtype, accessor["count"] * width, view["byteOffset"])
    return values.reshape(-1, width)


def animated_joints(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T,) times and (T, 22, 3) positions of the joints by the channels of the animation."""
    file, content = read_glb(path)
    (animation,) = file["animations"]
    curves = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times = array(file, content, sampler["input"])[:, 0]
        target = channel["target"]
        curves[target["node"], target["path"]] = array(file, content, sampler["output"])
    parents = {child: node for node, entry in enumerate(file["nodes"]) for child in entry.get("children", [])}
    positions = np.zeros((len(times), len(JOINTS), 3))
    turns: list[Rotation] = []
    for node, name in enumerate(JOINTS):
        assert file["nodes"][node]["name"] == name
        local = Rotation.from_quat(curves[node, "rotation"])
        if node in parents:
            parent = parents[node]
            offset = turns[parent].apply(np.array(file["nodes"][node]["translation"]))
            positions[:, node] = positions[:, parent] + offset
            turns.append(turns[parent] * local)
        else:
            positions[:, node] = curves[node, "translation"]
            turns.append(local)
    return times, positions


@pytest.mark.parametrize("motion", [dancer(), posed()], ids=["fitted", "own rotations"])
def test_the_animation_has_the_joints(tmp_path: Path, motion: Motion) -> None:
    write_glb(tmp_path / "new" / "a.glb", motion)
    times, joints = animated_joints(tmp_path / "new" / "a.glb")
    np.testing.assert_allclose(times, np.arange(motion.frames) / motion.fps, rtol=1e-6)
    np.testing.assert_allclose(joints, motion.joints, atol=1e-3)


def test_the_skin_is_the_body_at_rest(tmp_path: Path) -> None:
    motion = dancer()
    rest = posed_body(motion).rest
    write_glb(tmp_path / "a.glb", motion)
    scene: Any = trimesh.load(tmp_path / "a.glb")
    assert set(JOINTS) <= set(scene.graph.nodes)
    for joint, name in enumerate(JOINTS):
        np.testing.assert_allclose(scene.graph.get(name)[0][:3, 3], rest[joint], atol=1e-6)
    (mesh,) = scene.geometry.values()
    mesh.merge_vertices()
    assert mesh.is_watertight
    # Each bone is a closed octahedron that faces outwards.
    assert all(part.volume > 0 for part in mesh.split())
    file, content = read_glb(tmp_path / "a.glb")
    (skin,) = file["skins"]
    inverse = array(file, content, skin["inverseBindMatrices"]).reshape(-1, 4, 4)
    np.testing.assert_allclose(inverse[:, 3, :3], -rest, atol=1e-6)


def test_corners_belong_to_the_joint_that_their_bone_starts_at() -> None:
    rest = posed_body(dancer()).rest
    corners, joints = bone_meshes(rest)
    bones = corners.reshape(-1, 24, 3)
    owners = joints[:, 0].reshape(-1, 24)
    assert (owners == owners[:, :1]).all()
    np.testing.assert_allclose(bones[:, 0], rest[owners[:, 0]], atol=1e-6)
    leaves = len(set(range(len(JOINTS))) - set(PARENTS))
    assert len(bones) == len(JOINTS) - 1 + leaves


def test_quaternions_do_not_jump() -> None:
    angle = np.linspace(0, 6 * np.pi, 200)
    turns = angle[:, None] * np.array([0.0, 1.0, 0.0])
    values = quaternions(turns)
    assert np.abs(np.diff(values, axis=0)).max() < 0.1
    difference = Rotation.from_quat(values) * Rotation.from_rotvec(turns).inv()
    assert difference.magnitude().max() < 1e-6


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: expected a name that ends in \.glb"):
        write_glb(tmp_path / "a.txt", dancer())
    with pytest.raises(DataError, match="the motion has no joints"):
        write_glb(tmp_path / "a.glb", STEPS)
    assert not list(tmp_path.iterdir())

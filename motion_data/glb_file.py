"""Motions as binary glTF 2.0, for Blender, three.js and game engines: an animated stick body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS, PARENTS
from motionbeat_upstream.atomic_write import atomic_path

TIP_LENGTH = 0.5
"""Length of the bone beyond a hand, a foot or the head, relative to the bone before it [O]."""

BONE_WIDTH, RING_POSITION = 0.12, 0.2
"""Half width of a bone at its widest, and where that is, relative to its length [O]."""

COLOUR = (0.16, 0.43, 0.73, 1.0)
"""Red, green, blue and opacity of the body."""


def write_glb(path: str | Path, motion: Motion) -> None:
    """Write a motion of the common skeleton, atomically.

    The file has the 22 joints of :data:`~motion_data.skeleton.JOINTS` as the joints of a skin, in metres, y
    up, with the motion's frame times from 0. Rotations are those of the motion, or fitted by
    :func:`~motion_data.body.rotation_fit.posed_body`.

    Args:
        path: a file name with the suffix .glb.
        motion: ``start`` and pulses are not written.

    Raises:
        DataError: the motion has no body, as a step chart, or the suffix is different.
    """
    import pygltflib as gltf

    from motion_data.body.rotation_fit import posed_body

    path = Path(path)
    if path.suffix != ".glb":
        raise DataError(f"{path}: expected a name that ends in .glb")
    body = posed_body(motion)
    rest = body.rest
    parents = np.array([max(parent, 0) for parent in PARENTS])
    offsets = rest - rest[parents]
    offsets[0] = 0.0
    vertices, joints = bone_meshes(rest)

    file = gltf.GLTF2(asset=gltf.Asset(generator="MotionBeat"))
    chunks: list[bytes] = []

    def accessor(
        values: NDArray[np.generic], kind: str, bounds: bool = False, target: int | None = None
    ) -> int:
        """Append an array to the buffer; returns the number of its accessor."""
        data = np.ascontiguousarray(values)
        limits = {"min": data.min(0).tolist(), "max": data.max(0).tolist()} if bounds else {}
        if bounds and kind == "SCALAR":
            limits = {name: [value] for name, value in limits.items()}
        component = {"float32": gltf.FLOAT, "uint8": gltf.UNSIGNED_BYTE}[data.dtype.name]
        offset = sum(map(len, chunks))
        chunks.append(data.tobytes() + bytes(-data.nbytes % 4))
        file.bufferViews.append(
            gltf.BufferView(buffer=0, byteOffset=offset, byteLength=data.nbytes, target=target)
        )
        view = len(file.bufferViews) - 1
        file.accessors.append(
            gltf.Accessor(bufferView=view, componentType=component, count=len(data), type=kind, **limits)
        )
        return len(file.accessors) - 1

    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (len(vertices), 1))
    attributes = gltf.Attributes(
        POSITION=accessor(vertices, "VEC3", True, gltf.ARRAY_BUFFER),
        JOINTS_0=accessor(joints, "VEC4", target=gltf.ARRAY_BUFFER),
        WEIGHTS_0=accessor(weights, "VEC4", target=gltf.ARRAY_BUFFER),
    )
    surface = gltf.PbrMetallicRoughness(baseColorFactor=list(COLOUR), metallicFactor=0.0, roughnessFactor=0.7)
    file.materials = [gltf.Material(pbrMetallicRoughness=surface)]
    file.meshes = [gltf.Mesh(primitives=[gltf.Primitive(attributes=attributes, material=0)])]
    # Matrices are stored by columns.
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(JOINTS), 1, 1))
    inverse[:, 3, :3] = -rest
    skin = gltf.Skin(
        joints=list(range(len(JOINTS))),
        inverseBindMatrices=accessor(inverse.reshape(-1, 16), "MAT4"),
        skeleton=0,
    )
    file.skins = [skin]
    file.nodes = [
        gltf.Node(
            name=name,
            translation=offsets[joint].tolist(),
            children=[child for child, parent in enumerate(PARENTS) if parent == joint],
        )
        for joint, name in enumerate(JOINTS)
    ]
    file.nodes.append(gltf.Node(name="body", mesh=0, skin=0))
    file.scenes = [gltf.Scene(nodes=[0, len(JOINTS)])]
    file.scene = 0

    times = accessor((np.arange(motion.frames) / motion.fps).astype(np.float32), "SCALAR", True)
    curves = [("translation", 0, body.root, "VEC3")]
    curves += [
        ("rotation", joint, quaternions(body.rotations[:, joint]), "VEC4") for joint in range(len(JOINTS))
    ]
    animation = gltf.Animation(name="dance")
    for number, (channel, node, values, kind) in enumerate(curves):
        output = accessor(values.astype(np.float32), kind)
        animation.samplers.append(gltf.AnimationSampler(input=times, output=output, interpolation="LINEAR"))
        target = gltf.AnimationChannelTarget(node=node, path=channel)
        animation.channels.append(gltf.AnimationChannel(sampler=number, target=target))
    file.animations = [animation]
    content = b"".join(chunks)
    file.buffers = [gltf.Buffer(byteLength=len(content))]
    file.set_binary_blob(content)
    with atomic_path(path) as draft:
        draft.write_bytes(b"".join(file.save_to_bytes()))


def quaternions(rotations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(T, 4) quaternions x, y, z, w of (T, 3) rotations, axis times angle.

    Their signs follow one another, since viewers interpolate between frames.
    """
    from scipy.spatial.transform import Rotation

    values: NDArray[np.float64] = Rotation.from_rotvec(rotations).as_quat()
    flips = np.where((values[1:] * values[:-1]).sum(1) < 0, -1.0, 1.0)
    values[1:] *= np.cumprod(flips)[:, None]
    return values


def bone_meshes(rest: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Triangles of one octahedron per bone, in the rest pose.

    Args:
        rest: (22, 3) joints at rest.

    Returns:
        (N, 3) corners of triangles, three by three; and (N, 4) joints that move them, of which the first
        counts.
    """
    bones = [(parent, rest[parent], rest[joint]) for joint, parent in enumerate(PARENTS) if parent >= 0]
    for joint in set(range(len(JOINTS))) - set(PARENTS):
        tip = rest[joint] + TIP_LENGTH * (rest[joint] - rest[PARENTS[joint]])
        bones.append((joint, rest[joint], tip))
    corners, owners = [], []
    for joint, start, end in bones:
        along = end - start
        side = np.cross(along, np.eye(3)[np.abs(along).argmin()])
        side *= BONE_WIDTH * np.linalg.norm(along) / np.linalg.norm(side)
        other = np.cross(along, side) / np.linalg.norm(along)
        ring = [start + RING_POSITION * along + corner for corner in (side, other, -side, -other)]
        for first, second in zip(ring, [*ring[1:], ring[0]], strict=True):
            corners += [start, second, first, end, first, second]
        owners += [joint] * 24
    joints = np.zeros((len(corners), 4), np.uint8)
    joints[:, 0] = owners
    return np.array(corners, np.float32), joints

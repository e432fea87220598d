"""A motion as a BVH file, by pybvh: the 22 joints by their names here, in centimetres, y up.

Centimetres are what most mocap files and Mixamo's rigs are in. BVH says no unit: a program that takes units
for metres (Blender) is to scale by 0.01 on import.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pybvh import Bvh
from pybvh.bvhnode import BvhEndSite, BvhJoint, BvhNode, BvhRoot

from motion_data.body.rotation_fit import CHILDREN, posed_body
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import JOINTS, PARENTS
from motionbeat_upstream.atomic_write import atomic_path

SUFFIX = ".bvh"

UNITS = 100.0
"""Units a metre."""

ORDER = "ZXY"
"""Of the rotation channels, the outermost first: the order of most mocap files."""

TIP = 0.3
"""How far an end site lies beyond its joint, as a share of the bone before it [O]."""


def write_bvh(path: str | Path, motion: Motion) -> None:
    """Write a motion of the common skeleton, whole or not at all; frame 0 of the file is that of the motion.

    Rotations are the motion's own or fitted, see :func:`~motion_data.body.rotation_fit.posed_body`.

    Args:
        path: a name that ends in .bvh.
        motion: its ``start`` and pulses have no place in the file.

    Raises:
        DataError: a motion without a body, such as a step chart's, or another suffix.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise DataError(f"{path}: expected a name that ends in {SUFFIX}")
    body = posed_body(motion)
    nodes: list[BvhNode] = []
    order: list[int] = []
    _add(0, None, UNITS * body.rest, nodes, order)
    with warnings.catch_warnings():
        # pybvh guesses which way is up, and warns where a dancer's first frame lies; nothing here asks it.
        warnings.simplefilter("ignore")
        still = np.zeros((motion.frames, len(JOINTS), 3))
        file = Bvh(nodes, still[:, 0], still, 1 / motion.fps)
        file.from_axisangle(UNITS * body.root, body.rotations[:, order], inplace=True)
    # Angles that run on: programs interpolate between frames, and would turn a joint the long way round.
    file.joint_angles = np.unwrap(file.joint_angles, axis=0)
    with atomic_path(path) as draft:
        file.write(draft)


def _add(
    joint: int, parent: BvhNode | None, rest: NDArray[np.float64], nodes: list[BvhNode], order: list[int]
) -> BvhNode:
    """A joint and all below it, depth first as the file has them; ``order`` gets the joints."""
    offset = rest[joint] - rest[PARENTS[joint]] if parent else np.zeros(3)
    node = (BvhJoint if parent else BvhRoot)(JOINTS[joint], offset, rot_channels=ORDER, parent=parent)
    nodes.append(node)
    order.append(joint)
    for child in CHILDREN[joint]:
        node.children.append(_add(child, node, rest, nodes, order))
    if not CHILDREN[joint]:
        tip = BvhEndSite(f"{JOINTS[joint]}_end", TIP * offset, node)
        node.children.append(tip)
        nodes.append(tip)
    return node

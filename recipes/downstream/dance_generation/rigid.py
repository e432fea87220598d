"""Bones keep their length: what is drawn as positions is put on a body that a dancer could have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.kinematics import forward_kinematics
from motion_data.body.rotation_fit import fit_rotations

AT_ONCE = 1800
"""Frames that are worked on at once, and that say what the body is like."""


def on_rigid_body(joints: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(T, 22, 3) joints with bones of one length throughout, pointing where they did."""
    seen = joints[:: -(-len(joints) // AT_ONCE)]
    rest = fit_rotations(seen).rest
    parts = []
    for first in range(0, len(joints), AT_ONCE):
        body = fit_rotations(joints[first : first + AT_ONCE])
        parts.append(forward_kinematics(body.rotations, body.root, rest).astype(np.float32))
    return np.concatenate(parts)

"""Bones keep their length: what is drawn as positions is put on a body that a dancer could have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.body.kinematics import forward_kinematics
from motion_data.body.rotation_fit import fit_rotations


def on_rigid_body(joints: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(T, 22, 3) joints with each bone at its median length over the frames, and pointing where it did."""
    body = fit_rotations(joints)
    return forward_kinematics(body.rotations, body.root, body.rest).astype(np.float32)

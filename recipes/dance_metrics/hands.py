"""The two hands that SMPL has and the common skeleton has not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.skeleton import INDEX, JOINTS

HAND = 0.09
"""Metres from the wrist to SMPL's joint of the hand, to half a centimetre: in the mean shape it is 0.087 to
0.090 (the offsets in EDGE's vis.py) [O]."""


def with_hands(joints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Hands as the forearms' continuation, for a body that does not bend its wrists [O].

    Args:
        joints: (T, 22, 3) of the common skeleton, metres.

    Returns:
        (T, 24, 3): the left and the right hand last.

    Raises:
        DataError: another shape.
    """
    joints = np.asarray(joints, dtype=np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(JOINTS), 3):
        raise DataError(f"joints of shape {joints.shape}; expected (T, 22, 3), the common skeleton")
    wrists = joints[:, [INDEX["left_wrist"], INDEX["right_wrist"]]]
    forearms = wrists - joints[:, [INDEX["left_elbow"], INDEX["right_elbow"]]]
    length = np.linalg.norm(forearms, axis=2, keepdims=True)
    direction = np.divide(forearms, length, out=np.zeros_like(forearms), where=length > 0)
    return np.concatenate([joints, wrists + HAND * direction], axis=1)

"""Where the knee is when hip and ankle are given: the law of cosines, over all frames at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]


def bend(root: Vectors, end: Vectors, pole: Vectors, upper: float, lower: float) -> Vectors:
    """The middle joint of a limb of two bones.

    Args:
        root: (T, 3) hip.
        end: (T, 3) ankle, nowhere further from the hip than ``upper + lower``, nor nearer than
            ``|upper - lower|``; a distance outside is read as the nearest within.
        pole: (T, 3) direction the joint bends to; need be neither of unit length nor at a right angle
            to the limb, but not along it.
        upper: length of the first bone in metres.
        lower: of the second.

    Returns:
        (T, 3) knee, ``upper`` from the hip, ``lower`` from the ankle, on the side of the pole.
    """
    line = end - root
    distance = np.sqrt((line * line).sum(-1, keepdims=True))
    line = line / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(upper - lower) + 1e-9, upper + lower)
    along = (distance * distance + upper * upper - lower * lower) / (2 * distance)
    aside = np.sqrt(np.maximum(upper * upper - along * along, 0.0))
    side = pole - (pole * line).sum(-1, keepdims=True) * line
    side = side / np.maximum(np.sqrt((side * side).sum(-1, keepdims=True)), 1e-9)
    knee: Vectors = root + along * line + aside * side
    return knee

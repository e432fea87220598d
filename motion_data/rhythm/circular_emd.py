"""Earth mover's distance between two distributions of accent mass over a bar [S EMD, O circle]."""

from __future__ import annotations

from torch import Tensor

TINY = 1e-8


def circular_emd(first: Tensor, second: Tensor) -> Tensor:
    """How far mass must be moved along the circle of a bar to make one distribution the other.

    On a line it is the L1 distance of the cumulative sums; on a circle mass may also go the other way
    round, which takes the median off their difference (Rabin, Delon and Gousseau 2011).

    Args:
        first, second: (..., S) accent mass of S places of the bar, at least 0. Each is normalised to a
            sum of 1; a bar without mass counts as evenly spread.

    Returns:
        (...) in bars: 0 for equal distributions, 0.5 for two accents on opposite sides.
    """
    size = first.shape[-1]
    difference = _normalised(first) - _normalised(second)
    flow = difference.cumsum(-1)
    distance: Tensor = (flow - flow.median(-1, keepdim=True).values).abs().sum(-1) / size
    return distance


def _normalised(mass: Tensor) -> Tensor:
    mass = mass.clamp(min=0) + TINY
    return mass / mass.sum(-1, keepdim=True)

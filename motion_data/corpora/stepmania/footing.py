"""Which foot takes which arrow [O].

A chart says when and where, never with which foot. Players alternate their feet, keep the left foot to
the left of the right one where they can, and cannot lift a foot that holds an arrow. Here the whole chart
is footed at once, by the cheapest path through the places that the two feet can be in.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PANELS: dict[str, tuple[float, ...]] = {
    "dance-single": (-1.0, 0.0, 0.0, 1.0),
    "dance-double": (-2.5, -1.5, -1.5, -0.5, 0.5, 1.5, 1.5, 2.5),
    "dance-solo": (-1.0, -1.0, 0.0, 0.0, 1.0, 1.0),
    "pump-single": (-1.0, -1.0, 0.0, 1.0, 1.0),
    "pump-double": (-2.5, -2.5, -1.5, -0.5, -0.5, 0.5, 0.5, 1.5, 2.5, 2.5),
}
"""Types of chart for one player, and how far to the right each column's arrow lies, in panels."""

CROSSED = 2.0
"""Cost of a step that leaves the left foot to the right of the right one."""

SAME_FOOT = 0.6
"""Seconds over which a second step of the same foot in a row costs 1, to another arrow: ``SAME_FOOT``
divided by the time there is for it. Down to 0.3 s that is cheaper than crossing the feet."""

SWITCH = 2.5
"""Cost of taking an arrow that the other foot stands on."""

TRAVEL = 0.1
"""Cost of moving a foot by one panel; decides where nothing else does."""

HELD = 50.0
"""Cost of lifting a foot from an arrow that must be held: only where there are more arrows than feet."""

LEFT, RIGHT = 0, 1


@dataclass(frozen=True)
class _Feet:
    columns: tuple[int, int]
    """Where the left and the right foot stand; −1 and −2 are the starting places beside the arrows."""
    last: tuple[int, ...]
    """The feet that took the last row."""


def foot_steps(
    times: Sequence[float], releases: Sequence[float], columns: Sequence[int], places: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds at which the left and the right foot step.

    Two arrows at once are a jump and take both feet, as do three or more.

    Args:
        times: seconds of each arrow, not decreasing.
        releases: seconds at which each is let go; its time itself but for holds.
        columns: column of each.
        places: of each column, see ``PANELS``.
    """
    rows = [
        (time, [index for index, _ in group])
        for time, group in itertools.groupby(enumerate(times), key=lambda item: item[1])
    ]
    start = _Feet((-1, -2), ())
    costs: dict[_Feet, float] = {start: 0.0}
    came: list[dict[_Feet, _Feet]] = []
    before = -np.inf
    holding: list[tuple[float, int]] = []
    for time, members in rows:
        holding = [(until, column) for until, column in holding if until > time]
        held = {column for _, column in holding}
        reached: dict[_Feet, float] = {}
        origin: dict[_Feet, _Feet] = {}
        taken = sorted({columns[index] for index in members}, key=lambda column: (places[column], column))
        for feet, cost in costs.items():
            for following in _placings(feet, taken):
                total = cost + _cost(feet, following, time - before, held, places)
                if total < reached.get(following, np.inf):
                    reached[following], origin[following] = total, feet
        costs = reached
        came.append(origin)
        before = time
        holding += [(releases[index], columns[index]) for index in members if releases[index] > time]
    feet = min(costs, key=lambda feet: costs[feet])
    steps: tuple[list[float], list[float]] = ([], [])
    for (time, _), origin in zip(reversed(rows), reversed(came), strict=True):
        for foot in feet.last:
            steps[foot].append(time)
        feet = origin[feet]
    return np.array(steps[LEFT][::-1]), np.array(steps[RIGHT][::-1])


def _placings(feet: _Feet, taken: Sequence[int]) -> Iterator[_Feet]:
    """Where the feet can be after a row; of three arrows and more they take the outer two."""
    if len(taken) == 1:
        yield _Feet((taken[0], feet.columns[RIGHT]), (LEFT,))
        yield _Feet((feet.columns[LEFT], taken[0]), (RIGHT,))
    else:
        yield _Feet((taken[0], taken[-1]), (LEFT, RIGHT))
        yield _Feet((taken[-1], taken[0]), (LEFT, RIGHT))


def _cost(feet: _Feet, following: _Feet, seconds: float, held: set[int], places: Sequence[float]) -> float:
    cost = 0.0
    for foot in following.last:
        here, there, other = feet.columns[foot], following.columns[foot], feet.columns[1 - foot]
        cost += TRAVEL * abs(_place(there, places) - _place(here, places))
        if here in held and here != there:
            cost += HELD
        if there == other:
            cost += SWITCH
        if feet.last == following.last == (foot,) and here != there and other not in held:
            cost += SAME_FOOT / max(seconds, 0.1)
    if _place(following.columns[LEFT], places) > _place(following.columns[RIGHT], places):
        cost += CROSSED
    return cost


def _place(column: int, places: Sequence[float]) -> float:
    """Of a column; before the first step each foot stands beside the middle of the pad."""
    return places[column] if column >= 0 else (-0.5 if column == -1 else 0.5)

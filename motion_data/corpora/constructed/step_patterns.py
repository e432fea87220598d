"""Step patterns of dances, from ``step_patterns.toml``: when a foot comes down, where, with what weight [O].

No foot is named: a step is made by whichever foot is free, so a phrase may begin on either and be
mirrored. ``x`` points to the side of the foot that is free when the pattern begins, ``z`` forward.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Literal

from pydantic.dataclasses import dataclass

from motion_data.settings import CONFIG

Kind = Literal["step", "touch", "hop"]
"""``step`` takes the weight; ``touch`` leaves it on the other foot; ``hop`` lands on the foot it left."""


@dataclass(config=CONFIG, frozen=True)
class Step:
    """One touch-down. Lengths are in metres for a dancer 1.7 m tall."""

    beat: float
    """From the start of the pattern."""
    kind: Kind = "step"
    dx: float = 0.0
    """How far the dancer's place moves sideways with this step."""
    dz: float = 0.0
    """The same, forward."""
    ox: float = 0.0
    """How far beside its usual place under the body the foot comes down."""
    oz: float = 0.0
    """The same, forward."""
    lift: float = 0.06
    """Height of the foot on its way."""


@dataclass(config=CONFIG, frozen=True)
class Arms:
    """Directions of an arm: (upper azimuth, upper elevation, fore azimuth, fore elevation), whole degrees.

    Azimuth 0 points to the arm's own side, 90 forward; elevation 0 points down, 180 up.
    """

    rest: tuple[int, int, int, int]
    swing: tuple[int, int, int, int]
    """Added to the arm opposite the foot that carries the weight, taken from the other."""
    accents: tuple[tuple[int, int, int, int], ...]
    """Where the arms go on an accent; a phrase keeps to one."""


@dataclass(config=CONFIG, frozen=True)
class Pattern:
    """A dance's basic figure."""

    beats: int
    """Its length: whole bars."""
    steps: tuple[Step, ...]
    """In order of their beats."""
    arms: Arms
    bounce: float
    """Metres that the pelvis sinks on an unaccented beat at middling energy."""
    quickest: float
    """Seconds a beat of the pattern must last; on faster music it goes at half time."""
    hips: float = 0.5
    """How much the hips follow the weight, 0 to 1."""
    rise: tuple[float, ...] = ()
    """Metres that the body rises on each beat of a bar (the waltz's rise and fall)."""
    turn: float = 0.0
    """Degrees the dancer turns a beat, all through a phrase."""


_tables = tomllib.loads(files(__package__).joinpath("step_patterns.toml").read_text("utf-8"))

PATTERNS = {
    int(metre): {
        style: Pattern(**{**fields, "arms": _tables["arms"][fields["arms"]]})
        for style, fields in patterns.items()
    }
    for metre, patterns in _tables["patterns"].items()
}
"""By metre (a bar of 6/8 has two beats) and style."""

ACCENTS: dict[int, tuple[tuple[float, ...], ...]] = {
    int(metre): tuple(map(tuple, rows)) for metre, rows in _tables["accents"].items()
}
"""Weight of each beat of the bar; a take keeps to one. None repeats after half a bar or a beat."""

SUITS: dict[str, tuple[str, ...]] = {name: tuple(styles) for name, styles in _tables["suits"].items()}
"""Styles that suit a character of music, of any metre."""

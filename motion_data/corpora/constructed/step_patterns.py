"""Step patterns of dances, read from ``step_patterns.toml`` [O].

Patterns do not name a foot: the free foot makes each step, so a phrase may begin on either foot and be
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
    """Sideways movement of the body with this step."""
    dz: float = 0.0
    """Forward movement of the body."""
    ox: float = 0.0
    """Sideways offset of the foot from its neutral position under the body."""
    oz: float = 0.0
    """Forward offset of the foot."""
    lift: float = 0.06
    """Maximum height of the foot."""


@dataclass(config=CONFIG, frozen=True)
class Arms:
    """Directions of an arm: azimuth and elevation of the upper arm, then of the forearm, in whole degrees.

    Azimuth 0 points to the arm's side, 90 forward; elevation 0 points down, 180 up.
    """

    rest: tuple[int, int, int, int]
    swing: tuple[int, int, int, int]
    """Added to the arm opposite the weight-bearing foot, subtracted from the other arm."""
    accents: tuple[tuple[int, int, int, int], ...]
    """Directions on an accent; one is chosen per phrase."""


@dataclass(config=CONFIG, frozen=True)
class Pattern:
    """Basic figure of a dance."""

    beats: int
    """Length; whole bars."""
    steps: tuple[Step, ...]
    """In order of their beats."""
    arms: Arms
    bounce: float
    """Metres by which the pelvis sinks on an unaccented beat at medium energy."""
    quickest: float
    """Minimum seconds per beat of the pattern; faster music is danced at half time."""
    hips: float = 0.5
    """How much the hips follow the weight, 0 to 1."""
    rise: tuple[float, ...] = ()
    """Metres by which the body rises on each beat of a bar (rise and fall of a waltz)."""
    turn: float = 0.0
    """Degrees per beat by which the dancer turns during a phrase."""


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
"""Weights of the beats of a bar; one is chosen per take. None repeats after half a bar or a beat."""

SUITS: dict[str, tuple[str, ...]] = {name: tuple(styles) for name, styles in _tables["suits"].items()}
"""Styles that suit a character of music, for any metre."""

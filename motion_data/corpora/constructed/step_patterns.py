"""Step patterns of dances as tables: when a foot comes down, where, and with what weight [O].

No foot is named: a step is made by whichever foot is free, so a phrase may begin on either and be
mirrored. ``x`` points to the side of the foot that is free when the pattern begins, ``z`` forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["step", "touch", "hop"]
"""``step`` takes the weight; ``touch`` leaves it on the other foot; ``hop`` lands on the foot it left."""


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Arms:
    """Directions of an arm: (upper azimuth, upper elevation, fore azimuth, fore elevation) in degrees.

    Azimuth 0 points to the arm's own side, 90 forward; elevation 0 points down, 180 up.
    """

    rest: tuple[float, float, float, float]
    swing: tuple[float, float, float, float]
    """Added to the arm opposite the foot that carries the weight, taken from the other."""
    accents: tuple[tuple[float, float, float, float], ...]
    """Where the arms go on an accent; a phrase keeps to one."""


HANGING = Arms((25, 17, 60, 30), (14, 6, 8, 10), ((15, 75, 35, 85), (60, 60, 75, 100), (15, 120, 20, 150)))
RUNNING = Arms((20, 22, 80, 85), (25, 4, 5, 22), ((20, 95, 40, 130), (40, 150, 45, 168), (10, 85, 10, 90)))
SALSA = Arms((15, 24, 80, 80), (15, 4, 12, 8), ((10, 60, 60, 95), (20, 110, 30, 150), (10, 80, 15, 85)))
HELD = Arms((22, 62, 75, 92), (3, 3, 4, 3), ((12, 80, 30, 90), (12, 100, 25, 112)))
JIG = Arms((10, 12, 35, 14), (4, 2, 4, 3), ((5, 32, 10, 35), (15, 100, 20, 140)))
GROOVE = Arms((20, 25, 85, 75), (15, 8, 5, 18), ((25, 140, 40, 165), (65, 75, 100, 110), (10, 85, 15, 100)))


@dataclass(frozen=True)
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


def _steps(*rows: tuple[float, Kind, float, float, float, float] | Step) -> tuple[Step, ...]:
    return tuple(row if isinstance(row, Step) else Step(*row) for row in rows)


PATTERNS: dict[int, dict[str, Pattern]] = {
    4: {
        "side_touch": Pattern(
            4,
            _steps(
                (0, "step", 0.34, 0.05, 0, 0),
                (1, "touch", 0, 0, 0.06, 0),
                (2, "step", -0.30, -0.05, 0, 0),
                (3, "touch", 0, 0, -0.06, 0.06),
            ),
            GROOVE,
            0.030,
            0.36,
        ),
        "march": Pattern(
            8,
            tuple(
                Step(beat, "step", 0, 0.12 if beat < 4 else -0.12, 0, 0, 0.17 if beat % 4 == 0 else 0.12)
                for beat in range(8)
            ),
            RUNNING,
            0.018,
            0.30,
            0.2,
        ),
        "box": Pattern(
            4,
            _steps(
                (0, "step", 0, 0.06, -0.20, 0.25),
                (1, "step", 0, -0.06, 0, -0.18),
                (2, "step", 0.05, 0, 0.08, 0),
                (3, "step", -0.05, 0, 0, 0.04),
            ),
            HANGING,
            0.025,
            0.36,
        ),
        "cha_cha": Pattern(
            8,
            _steps(
                (0, "step", 0.16, 0, 0.03, 0),
                (1, "step", 0, 0.04, 0, 0.27),
                (2, "step", 0, -0.04, 0, 0),
                (3, "step", -0.14, 0, 0, 0),
                (3.5, "step", -0.03, 0, 0.04, 0),
                (4, "step", -0.14, 0, -0.03, 0),
                (5, "step", 0, -0.04, 0, -0.27),
                (6, "step", 0, 0.04, 0, 0),
                (7, "step", 0.12, 0, 0, 0),
                (7.5, "step", 0.03, 0, -0.04, 0),
            ),
            SALSA,
            0.015,
            0.42,
            1.0,
        ),
        "salsa": Pattern(
            8,
            _steps(
                (0, "step", 0, 0.06, 0, 0.28),
                (1, "step", 0, -0.02, 0, 0),
                (2, "step", 0, -0.04, 0, 0),
                (4, "step", 0, -0.06, 0, -0.26),
                (5, "step", 0, 0.02, 0, 0),
                (6, "step", 0, 0.04, 0, 0),
            ),
            SALSA,
            0.015,
            0.29,
            1.0,
        ),
        "grapevine": Pattern(
            4,
            _steps(
                (0, "step", 0.26, 0, 0.02, 0),
                (1, "step", 0.12, 0, 0.21, -0.28),
                (2, "step", 0.18, 0, 0.04, 0),
                (3, "touch", 0, 0, 0.05, 0.05),
            ),
            HANGING,
            0.02,
            0.36,
        ),
        "bounce": Pattern(
            4,
            _steps((0, "step", 0.10, 0.04, 0.04, 0.02), (2, "step", -0.10, -0.04, -0.04, 0)),
            GROOVE,
            0.05,
            0.40,
            0.7,
        ),
        "two_step": Pattern(
            4,
            _steps(
                (0, "step", 0.22, 0.03, 0, 0),
                (0.5, "step", 0.02, 0, 0.05, 0),
                (1, "step", 0.18, 0, 0, 0),
                (2, "step", -0.18, -0.03, 0, 0),
                (2.5, "step", -0.02, 0, -0.05, 0),
                (3, "step", -0.16, 0, 0, 0),
            ),
            HANGING,
            0.02,
            0.44,
        ),
        "charleston": Pattern(
            4,
            _steps(
                (0, "step", 0, 0.08, 0, 0.14),
                (1, "touch", 0, 0, 0, 0.34),
                (2, "step", 0, -0.08, 0, -0.14),
                (3, "touch", 0, 0, 0, -0.32),
            ),
            RUNNING,
            0.035,
            0.34,
            0.3,
        ),
        "polka": Pattern(
            4,
            _steps(
                (0, "step", 0.10, 0.16, 0, 0),
                (0.5, "step", 0.02, 0.04, 0, -0.03),
                (1, "step", 0.02, 0.12, 0, 0),
                Step(1.5, "hop", 0, 0.02, 0, 0, 0.10),
                (2, "step", -0.10, 0.10, 0, 0),
                (2.5, "step", -0.02, 0.03, 0, -0.03),
                (3, "step", -0.02, 0.08, 0, 0),
                Step(3.5, "hop", 0, 0.02, 0, 0, 0.10),
            ),
            HELD,
            0.025,
            0.42,
            0.2,
            turn=12.0,
        ),
    },
    3: {
        "waltz": Pattern(
            6,
            _steps(
                (0, "step", 0, 0.26, 0, 0.06),
                (1, "step", -0.14, 0.02, 0, 0),
                (2, "step", -0.03, 0, -0.05, 0),
                (3, "step", 0, -0.24, 0, -0.06),
                (4, "step", 0.14, -0.02, 0, 0),
                (5, "step", 0.03, 0, 0.05, 0),
            ),
            HELD,
            0.02,
            0.31,
            0.3,
            (-0.02, 0.012, 0.02),
        ),
        "balance": Pattern(
            3,
            _steps((0, "step", 0.28, 0.02, 0.04, 0), (1, "step", 0, 0, 0.14, -0.15), (2, "step", 0, 0, 0, 0)),
            HANGING,
            0.025,
            0.34,
            0.4,
            (-0.015, 0.01, 0.012),
        ),
        "hesitation": Pattern(
            3,
            _steps((0, "step", 0.32, 0.05, 0.03, 0), (1, "touch", 0, 0, 0.07, 0)),
            HELD,
            0.02,
            0.30,
            0.4,
            (-0.02, 0.015, 0.01),
        ),
        "turning_waltz": Pattern(
            6,
            _steps(
                (0, "step", 0.04, 0.22, 0, 0.04),
                (1, "step", 0, 0.10, 0, 0),
                (2, "step", 0, 0.02, 0, 0),
                (3, "step", -0.04, 0.18, 0, 0),
                (4, "step", 0, 0.08, 0, 0),
                (5, "step", 0, 0.02, 0, 0),
            ),
            HELD,
            0.015,
            0.31,
            0.2,
            (-0.02, 0.01, 0.015),
            turn=24.0,
        ),
        "landler": Pattern(
            3,
            _steps(
                Step(0, "step", 0.06, 0.18, 0, 0.03, 0.12),
                (1, "step", 0, 0.05, 0, 0),
                (2, "step", 0, 0.03, 0, 0),
            ),
            RUNNING,
            0.03,
            0.31,
            0.3,
            turn=8.0,
        ),
    },
    2: {
        "jig_hop": Pattern(
            2,
            _steps(
                Step(0, "step", 0.06, 0.06, 0, 0.02, 0.12),
                Step(2 / 3, "hop", 0, 0.02, 0, 0, 0.10),
                Step(1, "step", -0.06, 0.03, 0, 0, 0.09),
                Step(5 / 3, "hop", 0, -0.02, 0, 0, 0.10),
            ),
            JIG,
            0.02,
            0.48,
            0.1,
        ),
        "jig_side": Pattern(
            4,
            _steps(
                (0, "step", 0.24, 0, 0.03, 0),
                (2 / 3, "step", 0.05, 0, 0.04, -0.08),
                (1, "step", 0.18, 0, 0.03, 0),
                (5 / 3, "step", 0.05, 0, 0.04, -0.08),
                (2, "step", 0.12, 0, 0, 0),
                (3, "touch", 0, 0, 0.04, 0.06),
            ),
            JIG,
            0.02,
            0.54,
            0.1,
        ),
        "six_march": Pattern(
            4,
            _steps(
                Step(0, "step", 0, 0.16, 0, 0, 0.14),
                Step(1, "step", 0, 0.10, 0, 0, 0.09),
                Step(2, "step", 0, -0.16, 0, 0, 0.14),
                Step(3, "step", 0, -0.10, 0, 0, 0.09),
            ),
            RUNNING,
            0.025,
            0.31,
            0.2,
        ),
        "six_touch": Pattern(
            2,
            _steps((0, "step", 0.34, 0.04, 0.02, 0), (1, "touch", 0, 0, 0.06, 0.03)),
            HANGING,
            0.035,
            0.34,
        ),
    },
}
"""By metre (a bar of 6/8 has two beats) and style."""

ACCENTS: dict[int, tuple[tuple[float, ...], ...]] = {
    4: ((1.0, 0.2, 0.5, 0.3), (1.0, 0.45, 0.15, 0.35), (1.0, 0.15, 0.35, 0.6)),
    3: ((1.0, 0.2, 0.4), (1.0, 0.45, 0.15)),
    2: ((1.0, 0.3),),
}
"""Weight of each beat of the bar; a take keeps to one. None repeats after half a bar or a beat."""

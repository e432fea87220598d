"""What a dance tells of the sound beyond beats and bars: conditional mutual information, with its chance [O].

A take of steady tempo is cut into half beats. In each there is, or is not: a touch-down, a kick, a snare, an
accent of the melody; and a hand stops more than usual, the body is faster, or the music louder.
I(motion; sound | take and position in the bar) is then 0 for a
dancer who knows the grid alone. Its estimate from counts is not, for few bars: chance is what remains when
the sound of each take is rotated by a random number of whole bars against its motion, which keeps all that is
periodic or slow in either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.music_cues import MusicCues
from motion_data.corpora.constructed.responsive import ACCENT_PERCENTILE
from motion_data.motion import Motion
from motion_data.skeleton import INDEX
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

PAIRS = (
    ("feet", "kick"),
    ("feet", "low"),
    ("hands", "snare"),
    ("hands", "accents"),
    ("body", "loudness"),
)
"""What of the motion is compared with what of the sound."""

LEAST_BARS = 4
"""Bars a take has at least to be counted."""

STEADY = 0.03
"""Spread of the beats' periods over their median, at most: on faster beats any dancer is faster and music
louder."""

STEPS = 2
"""Cells a beat."""

APPROACH, STOP = 0.2, 0.1
"""Seconds before and after the middle of a cell in which a hand is fast and then slow where it has an
accent."""


@dataclass(frozen=True)
class Response:
    """Mutual information of one thing of the motion and one of the sound, over many takes."""

    bits: float
    """Estimate from counts, bits a half beat."""
    chance: float
    """Mean of the same when rotated."""
    spread: float
    """Its standard deviation."""
    p: float
    """Share of the rotations with as much or more."""
    takes: int

    @property
    def excess(self) -> float:
        """Bits a half beat above chance."""
        return self.bits - self.chance


@dataclass(frozen=True)
class TakeCells:
    """(bars, cells a bar) of what happens in each half beat, by name."""

    motion: Mapping[str, Flags]
    sound: Mapping[str, Flags]


def cells_of(motion: Motion, grid: Grid, cues: MusicCues) -> TakeCells | None:
    """A take in half beats; None where its tempo moves or it has under :data:`LEAST_BARS` whole bars."""
    periods = np.diff(grid.beats)
    if len(periods) < 2 or np.std(periods) > STEADY * np.median(periods):
        return None
    downs = np.flatnonzero(grid.positions == 1)
    whole = np.flatnonzero(np.diff(downs) == grid.metre)
    stop = motion.start + motion.seconds
    bars = [
        downs[k] for k in whole if grid.beats[downs[k]] >= 0.25 and grid.beats[downs[k + 1]] < stop - 0.25
    ]
    if len(bars) < LEAST_BARS:
        return None
    places = np.array(bars)[:, None] + np.arange(grid.metre * STEPS) / STEPS
    numbers = np.arange(len(grid.beats))
    middles = np.interp(places, numbers, grid.beats)
    lasting = np.interp(places + 1 / STEPS, numbers, grid.beats) - middles

    def happens(times: Array) -> Flags:
        before, after = (np.searchsorted(np.sort(times), middles + share * lasting) for share in (-0.5, 0.5))
        flags: Flags = after > before
        return flags

    feet = [times for limb, times in motion.pulses.items() if limb.endswith("foot")]
    joints = motion.joints.astype(np.float64)
    own = joints - joints[:, :1]
    wrists = own[:, [INDEX["left_wrist"], INDEX["right_wrist"]]]
    hands = np.linalg.norm(np.diff(wrists, axis=0), axis=-1).max(axis=1) * motion.fps
    body = np.linalg.norm(np.diff(own, axis=0), axis=-1).mean(axis=1) * motion.fps

    def mean(speed: Array, until: Array, seconds: Array | float) -> Array:
        total = np.concatenate([[0.0], np.cumsum(speed)])
        ends = ((np.array([until - seconds, until]) - motion.start) * motion.fps).clip(0, len(speed))
        lower, upper = np.interp(ends, np.arange(len(total)), total)
        return np.asarray((upper - lower) / (seconds * motion.fps))

    moving = {
        # A hand that has an accent was fast, and stops.
        "hands": mean(hands, middles, APPROACH) - mean(hands, middles + STOP, STOP),
        "body": mean(body, middles + lasting / 2, lasting),
    }
    melody = cues.onsets["melody"] if len(cues.onsets["melody"]) else cues.onsets["chords"]
    strong = melody[melody[:, 1] >= np.percentile(melody[:, 1], ACCENT_PERCENTILE)] if len(melody) else melody
    strokes = {"low": cues.low, "accents": strong, **cues.onsets}
    return TakeCells(
        {"feet": happens(np.concatenate(feet)), **{name: _unusual(v) for name, v in moving.items()}},
        {
            **{name: happens(strokes[name][:, 0]) for name in ("kick", "low", "snare", "accents")},
            "loudness": _unusual(cues.at(cues.loudness, middles)),
        },
    )


def _unusual(values: Array) -> Flags:
    """Whether a (bars, N) value is above the median of its position in the bar."""
    flags: Flags = values > np.median(values, axis=0)
    return flags


def response(
    takes: Sequence[TakeCells], motion: str, sound: str, rng: np.random.Generator, rotations: int = 2000
) -> Response:
    """How much one thing of the motions tells of one of the sounds, given the grid.

    Args:
        takes: of :func:`cells_of`.
        motion: a name in ``TakeCells.motion``.
        sound: a name in ``TakeCells.sound``.
        rng: draws the rotations.
        rotations: how many.
    """
    cells = sum(take.motion[motion].size for take in takes)
    own, drawn = 0.0, np.zeros(rotations)
    for take in takes:
        moved, heard = take.motion[motion], take.sound[sound]
        bits = np.array([_bits(moved, np.roll(heard, shift, axis=0)) for shift in range(len(heard))])
        own += bits[0]
        drawn += bits[rng.integers(len(bits), size=rotations)]
    p = (1 + np.sum(drawn >= own - 1e-9)) / (1 + rotations)
    return Response(
        own / cells, float(drawn.mean()) / cells, float(drawn.std()) / cells, float(p), len(takes)
    )


def _bits(x: Flags, y: Flags) -> float:
    """Sum over columns of rows times the mutual information of two (rows, columns) flags."""
    rows = len(x)
    total = 0.0
    for a in (x, ~x):
        for b in (y, ~y):
            joint, alone = (a & b).mean(axis=0), a.mean(axis=0) * b.mean(axis=0)
            some = joint > 0
            total += float((joint[some] * np.log2(joint[some] / alone[some])).sum())
    return rows * total

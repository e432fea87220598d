"""Conditional mutual information of dance and sound beyond beats and bars, with its chance level [O].

A take of steady tempo is divided into half beats with binary events: touch-down, kick, snare or melody
accent; a hand stops more than usual, the body is faster, the music louder. I(motion; sound | take and
position in the bar) is 0 for a dancer who follows the grid only. Its estimate from counts is biased for few
bars; the chance level is the estimate with the sound of each take rotated by a random number of bars, which
keeps periodic and slow variation.
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
"""Pairs of an event of the motion and one of the sound."""

MIN_BARS = 4
"""Minimum number of bars of a take."""

MAX_TEMPO_SPREAD = 0.03
"""Maximum standard deviation of beat periods relative to their median; with changing tempo, speed and
loudness would correlate."""

CELLS_PER_BEAT = 2


APPROACH, STOP = 0.2, 0.1
"""Seconds before and after the centre of a cell in which an accented hand is fast and then slow."""


@dataclass(frozen=True)
class Response:
    """Mutual information of an event of the motion and one of the sound over many takes."""

    bits: float
    """Estimate from counts in bits per half beat."""
    chance: float
    """Mean over rotations."""
    spread: float
    """Standard deviation over rotations."""
    p: float
    """Share of rotations with at least this value."""
    takes: int

    @property
    def excess(self) -> float:
        """Bits per half beat above chance."""
        return self.bits - self.chance


@dataclass(frozen=True)
class TakeCells:
    """(bars, cells per bar) events of each half beat, by name."""

    motion: Mapping[str, Flags]
    sound: Mapping[str, Flags]


def cells_of(motion: Motion, grid: Grid, cues: MusicCues) -> TakeCells | None:
    """Events of a take; None if its tempo varies or it has fewer than :data:`MIN_BARS` whole bars."""
    periods = np.diff(grid.beats)
    if len(periods) < 2 or np.std(periods) > MAX_TEMPO_SPREAD * np.median(periods):
        return None
    downs = np.flatnonzero(grid.positions == 1)
    whole = np.flatnonzero(np.diff(downs) == grid.metre)
    stop = motion.start + motion.seconds
    bars = [
        downs[k] for k in whole if grid.beats[downs[k]] >= 0.25 and grid.beats[downs[k + 1]] < stop - 0.25
    ]
    if len(bars) < MIN_BARS:
        return None
    positions = np.array(bars)[:, None] + np.arange(grid.metre * CELLS_PER_BEAT) / CELLS_PER_BEAT
    numbers = np.arange(len(grid.beats))
    middles = np.interp(positions, numbers, grid.beats)
    durations = np.interp(positions + 1 / CELLS_PER_BEAT, numbers, grid.beats) - middles

    def happens(times: Array) -> Flags:
        before, after = (
            np.searchsorted(np.sort(times), middles + share * durations) for share in (-0.5, 0.5)
        )
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
        # An accented hand was fast and stops.
        "hands": mean(hands, middles, APPROACH) - mean(hands, middles + STOP, STOP),
        "body": mean(body, middles + durations / 2, durations),
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
    """Whether (bars, N) values exceed the median of their position in the bar."""
    flags: Flags = values > np.median(values, axis=0)
    return flags


def response(
    takes: Sequence[TakeCells], motion: str, sound: str, rng: np.random.Generator, rotations: int = 2000
) -> Response:
    """Mutual information of an event of the motion and one of the sound, given the grid.

    Args:
        takes: takes from :func:`cells_of`.
        motion: a name in ``TakeCells.motion``.
        sound: a name in ``TakeCells.sound``.
        rng: random generator of the rotations.
        rotations: number of rotations.
    """
    cells = sum(take.motion[motion].size for take in takes)
    own, drawn = 0.0, np.zeros(rotations)
    for take in takes:
        x, y = take.motion[motion], take.sound[sound]
        bits = np.array([_bits(x, np.roll(y, shift, axis=0)) for shift in range(len(y))])
        own += bits[0]
        drawn += bits[rng.integers(len(bits), size=rotations)]
    p = (1 + np.sum(drawn >= own - 1e-9)) / (1 + rotations)
    return Response(
        own / cells, float(drawn.mean()) / cells, float(drawn.std()) / cells, float(p), len(takes)
    )


def _bits(x: Flags, y: Flags) -> float:
    """Mutual information of two (rows, columns) flags, summed over columns, times the number of rows."""
    rows = len(x)
    total = 0.0
    for a in (x, ~x):
        for b in (y, ~y):
            joint, product = (a & b).mean(axis=0), a.mean(axis=0) * b.mean(axis=0)
            positive = joint > 0
            total += float((joint[positive] * np.log2(joint[positive] / product[positive])).sum())
    return rows * total

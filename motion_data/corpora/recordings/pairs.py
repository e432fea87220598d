"""A labelled track danced to from end to end, and cut into pairs at downbeats."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.corpora.constructed.dancer import STYLES, dance, take_name
from motion_data.corpora.recordings.labelling import Labels
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.pair import AudioSpan, MotionPair

FPS = 60.0
"""Frames of motion a second."""

EDGE = 0.1
"""Seconds that pairs begin and end on multiples of, outside their downbeats: whole frames and samples."""

STEP_SPREAD = (0.010, 0.025)
"""Seconds, least and most, of the standard deviation of a take's steps, as the dancer's footfalls have it."""

STEP_LAG = 0.004
"""Seconds (standard deviation) by which a whole take is early or late."""


@dataclass(frozen=True)
class LabelledTrack:
    """A track with its labels, and what its pairs say of it."""

    name: str
    """Fit for files."""
    piece: str
    split: str
    licence: str
    audio: str
    """The 16 kHz FLAC, from the folder of the corpus."""
    sha256: str
    """Of that file."""
    labels: Labels
    stop: float
    """Seconds at which the sound ends."""
    provenance: Mapping[str, Any]


def cut_pairs(track: LabelledTrack, out: Path, seconds: float, seed: int) -> list[MotionPair]:
    """Write the motions of a track's pairs, and return their records.

    Where bars are known, the parametric dancer dances to the grid; where they are not, there are no joints
    but the touch-downs of a step on every beat.

    Args:
        track: labelled.
        out: folder of the corpus.
        seconds: about the length of a pair: as many whole bars as come nearest to it.
        seed: of the preparation; with the track's name it gives the take.
    """
    grid = track.labels.grid
    own_seed = int.from_bytes(hashlib.sha256(f"{seed} {track.name}".encode()).digest()[:6])
    rng = np.random.default_rng([own_seed, 1])
    style = str(rng.choice(STYLES[grid.metre]))
    energy = float(rng.uniform(0.2, 1.0))
    end = float(grid.beats[-1]) + 1.0
    if track.labels.bars_known:
        motion = dance(grid, style, end, energy, np.random.default_rng(own_seed), FPS)
        take = take_name(style, own_seed)
    else:
        pulses = alternating_steps(grid.beats, np.random.default_rng(own_seed))
        motion = Motion(FPS, (), np.zeros((round(end * FPS), 0, 3)), 0.0, None, pulses)
        take = f"steps-{own_seed}"
    pairs = []
    for number, (first, last) in enumerate(_spans(grid.downbeats, seconds)):
        # The margin lets the last downbeat be in the pair, so that its last bar is whole.
        start, stop = np.floor(first / EDGE + 1e-6) * EDGE, np.ceil(last / EDGE + 1e-6) * EDGE
        start, stop = max(0.0, float(start)), float(stop)
        inside = (grid.beats >= start) & (grid.beats <= stop)
        own_grid = replace(grid, beats=grid.beats[inside] - start, positions=grid.positions[inside])
        part = motion.between(start, stop)
        name = f"{track.name}-{number:03}"
        pair = MotionPair(
            name=name,
            corpus="recordings",
            piece=track.piece,
            take=take,
            split=track.split,
            licence=track.licence,
            seconds=round(stop - start, 3),
            fps=FPS if part.names else 0.0,
            joints=part.names,
            pulses={limb: len(times) for limb, times in part.pulses.items()},
            grid="self-labelled",
            metre=grid.metre,
            bpm=own_grid.bpm,
            audio=AudioSpan(track.audio, round(start, 3), round(stop, 3), track.sha256),
            motion=f"motion/{name}.npz",
            provenance={
                **track.provenance,
                "dance": style if part.names else "steps",
                "energy": energy,
                "seed": own_seed,
            },
        )
        write_motion(out / f"motion/{name}.npz", part, own_grid)
        pairs.append(pair)
    return pairs


def _spans(downbeats: NDArray[np.float64], seconds: float) -> list[tuple[float, float]]:
    """From downbeat to downbeat, whole bars whose length comes nearest to ``seconds``."""
    bar = float(np.median(np.diff(downbeats)))
    bars = max(1, round(seconds / bar))
    spans = max(1, round((len(downbeats) - 1) / bars))
    edges = np.linspace(0, len(downbeats) - 1, spans + 1).round().astype(int)
    return [(float(downbeats[a]), float(downbeats[b])) for a, b in pairwise(edges) if b > a]


def alternating_steps(beats: NDArray[np.float64], rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """A step on every beat, left and right in turn, as early and late as a human is [O].

    The errors are those of the dancer's footfalls: each take has its own lag and spread, and each error takes
    over .35 of the one before.
    """
    sigma = rng.uniform(*STEP_SPREAD)
    lag = float(np.clip(rng.normal(0.0, STEP_LAG), -0.01, 0.01))
    error, times = 0.0, np.empty(len(beats))
    for number, beat in enumerate(beats):
        error = 0.35 * error + 0.94 * float(rng.normal(0, sigma))
        times[number] = beat + lag + float(np.clip(error, -2.2 * sigma, 2.2 * sigma))
    first = int(rng.integers(2))
    steps = {"left_foot": times[first::2], "right_foot": times[1 - first :: 2]}
    return {limb: t[t >= 0] for limb, t in steps.items()}

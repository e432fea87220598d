"""The metrical grid of a clip: beats, bars, and the beat-synchronous tokens cut from them.

Beat segmentation with S tokens a beat follows the paper's figure [P]; the value of S, the
extrapolation beyond the outer beats and the handling of irregular bars are ours [O].
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

METRES = (2, 3, 4, 5, 6, 7)
"""Beats a bar that are told apart."""

FALLBACK_BPM = 120.0
"""Tempo of the fixed grid that stands in where no beat can be heard [O]."""

UNCERTAIN = 0.5
"""Confidence of downbeats below which the commands call them uncertain [O]. A metronome has up to 0.41."""

GAP = 8.0
"""Median beat periods without a beat from which on a grid has a gap: a silence, see
:mod:`~motionbeat_upstream.tracking.silence`."""

FALLBACK_METRE = 4
"""Beats per bar of the fixed grid that stands in where no beat can be heard [O]."""


@dataclass(frozen=True)
class Grid:
    """Beats and bars of one clip.

    Raises ``ValueError`` when the beats do not increase, or the parts do not fit each other.
    """

    beats: NDArray[np.float64]
    """(N,) beat times in seconds from the start of the clip, strictly increasing. An estimate has none in
    silences of several bars."""
    positions: NDArray[np.int64]
    """(N,) position of each beat in its bar, counted from 1; 1 is a downbeat."""
    metre: int
    """Beats per bar; a bar of 6/8 counts as two."""
    confidence: float = 1.0
    """How sure the beats are, in [0, 1]. 0 marks the fixed fallback grid, 1 an annotation. An estimate from
    audio has the product of two numbers: how far its pulse stands out from that of noise, and p / (p + q),
    where p is the probability of its beats and q that of the best others, at another tempo or half a beat
    off. So beats that could as well be counted at twice the tempo have at most 0.5."""
    downbeat_confidence: float = 1.0
    """How sure downbeats and metre are, in [0, 1] and at most ``confidence``; 0 where they are a guess: their
    lead over the next best, another beat as the first or another metre, is no greater than chance has it."""

    def __post_init__(self) -> None:
        beats = np.asarray(self.beats, dtype=np.float64)
        positions = np.asarray(self.positions, dtype=np.int64)
        object.__setattr__(self, "beats", beats)
        object.__setattr__(self, "positions", positions)
        if beats.ndim != 1 or len(beats) < 2:
            raise ValueError(f"a grid needs at least 2 beats in one dimension, got {beats.shape}")
        if positions.shape != beats.shape:
            raise ValueError(f"{len(beats)} beats but positions of shape {positions.shape}")
        if not np.isfinite(beats).all():
            raise ValueError("beat times must be finite")
        if not (np.diff(beats) > 0).all():
            index = int(np.flatnonzero(np.diff(beats) <= 0)[0])
            raise ValueError(
                f"beat times must increase, but beat {index + 1} at {beats[index + 1]:.3f} s "
                f"follows beat {index} at {beats[index]:.3f} s"
            )
        if self.metre < 1:
            raise ValueError(f"metre must be at least 1, got {self.metre}")
        if positions.min() < 1:
            raise ValueError(f"positions in the bar count from 1, got {positions.min()}")

    @property
    def downbeats(self) -> NDArray[np.float64]:
        """(M,) times of the downbeats in seconds."""
        downbeats: NDArray[np.float64] = self.beats[self.positions == 1]
        return downbeats

    @property
    def bpm(self) -> float:
        """Median tempo in beats per minute."""
        return float(60.0 / np.median(np.diff(self.beats)))


def confidence_text(confidence: float, downbeat_confidence: float) -> str:
    """How sure a grid is, in words and figures, as ``motionbeat beats`` prints it."""
    downbeats = f"{downbeat_confidence:.2f}"
    if downbeat_confidence < UNCERTAIN:
        downbeats = f"uncertain ({downbeats})"
    return f"confidence {confidence:.2f}, downbeats {downbeats}"


def regular_grid(
    duration: float,
    bpm: float,
    metre: int,
    first_downbeat: float = 0.0,
    confidence: float = 1.0,
    downbeat_confidence: float = 1.0,
) -> Grid:
    """A grid of constant tempo that covers ``[0, duration]`` seconds.

    ``first_downbeat`` (seconds) may lie anywhere; beats before it count backwards from it.
    """
    if not (np.isfinite(bpm) and bpm > 0):
        raise ValueError(f"bpm must be positive and finite, got {bpm}")
    period = 60.0 / bpm
    start = int(np.ceil(-first_downbeat / period - 1e-9))
    stop = max(int(np.floor((duration - first_downbeat) / period + 1e-9)), start + 1)
    index = np.arange(start, stop + 1)
    positions = index % metre + 1
    return Grid(first_downbeat + index * period, positions, metre, confidence, downbeat_confidence)


def fallback_grid(duration: float) -> Grid:
    """The grid of a clip without a pulse: 120 bpm, 4/4, downbeat at 0 s, confidence 0 [O]."""
    return regular_grid(duration, FALLBACK_BPM, FALLBACK_METRE, confidence=0.0, downbeat_confidence=0.0)


def without_gaps(grid: Grid) -> Grid:
    """The grid with beats in its gaps as well, for what needs a beat at every time.

    A gap gets evenly spaced beats, about as far apart as the median of the others, and as many as make the
    positions in the bar go on across it.
    """
    steps = np.diff(grid.beats)
    counts = np.ones(len(steps), dtype=np.int64)
    for gap in np.flatnonzero(steps > GAP * np.median(steps)):
        count = round(steps[gap] / np.median(steps))
        moved = int(grid.positions[gap + 1] - grid.positions[gap]) - count
        counts[gap] = max(1, count + (moved + grid.metre // 2) % grid.metre - grid.metre // 2)
    number = np.concatenate([[0], np.cumsum(counts)])
    every = np.arange(number[-1] + 1)
    before = np.searchsorted(number, every, side="right") - 1
    skipped = every - number[before]
    positions = np.where(
        skipped == 0, grid.positions[before], (grid.positions[before] - 1 + skipped) % grid.metre + 1
    )
    return replace(grid, beats=np.interp(every, number, grid.beats), positions=positions)


def bar_turns(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the beats lie among the bars.

    Returns, for each of the N beats, its position counted in bars (whole numbers are downbeats)
    and the share of a bar that lies between it and the next beat. A bar between two downbeats
    has as many beats as are counted in it, so one turn is one bar whatever the metre; the
    broken bars at either end take the grid's metre.
    """
    downbeats = np.flatnonzero(grid.positions == 1)
    step = np.full(len(grid.beats), 1.0 / grid.metre)
    for first, following in itertools.pairwise(downbeats):
        step[first:following] = 1.0 / (following - first)
    turns = np.concatenate([[0.0], np.cumsum(step[:-1])])
    if len(downbeats):
        turns -= turns[downbeats[0]]
    else:
        turns += (grid.positions[0] - 1.0) / grid.metre
    return turns, step


def turns_at(grid: Grid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where ``times`` (N,) in seconds lie, counted in bars as :func:`bar_turns` counts them.

    Beyond the outer beats the count goes on at the tempo found there, and through gaps as
    :func:`without_gaps` has it.
    """
    grid = without_gaps(grid)
    turns, step = bar_turns(grid)
    beats = np.append(grid.beats, 2 * grid.beats[-1] - grid.beats[-2])
    return piecewise_line(times, beats, np.append(turns, turns[-1] + step[-1]))


def beats_at(grid: Grid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beats at ``times`` (seconds): 0 at the grid's first beat, 1 at its second.

    Beyond the outer beats the count goes on at the tempo found there.
    """
    return piecewise_line(times, grid.beats, np.arange(len(grid.beats), dtype=np.float64))


def times_at(grid: Grid, beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds at ``beats``; the inverse of :func:`beats_at`."""
    return piecewise_line(beats, np.arange(len(grid.beats), dtype=np.float64), grid.beats)


def piecewise_line(
    x: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A function of ``x`` that is straight between (knots, values) and goes straight on beyond them.

    Args:
        x: (N,).
        knots: (K,) increasing, K at least 2.
        values: (K,).
    """
    before = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    share = (x - knots[before]) / (knots[before + 1] - knots[before])
    line: NDArray[np.float64] = values[before] + share * (values[before + 1] - values[before])
    return line


@dataclass(frozen=True)
class Tokens:
    """Beat-synchronous tokens of a batch of clips, padded to the longest.

    Cut in float64 on the CPU, so that borders of tokens and frames meet exactly.
    """

    start: Tensor
    """(B, N) start of each token in seconds, clipped to the clip."""
    stop: Tensor
    """(B, N) end of each token in seconds, clipped to the clip; equals ``start`` in padding."""
    bar: Tensor
    """(B, N) index of the bar a token lies in."""
    phase: Tensor
    """(B, N) bar phase θ of the token's middle in radians, in [0, 2π): one turn a bar."""
    mask: Tensor
    """(B, N) true where there is a token, false in padding."""

    def to(self, device: torch.device) -> Tokens:
        """The same tokens on another device, times and phases in float32."""
        return Tokens(
            self.start.float().to(device),
            self.stop.float().to(device),
            self.bar.to(device),
            self.phase.float().to(device),
            self.mask.to(device),
        )


def cut_tokens(grids: Sequence[Grid], durations: ArrayLike, subdivisions: int) -> Tokens:
    """Cut clips into ``subdivisions`` tokens a beat, from 0 s to each clip's end.

    The grid is continued at the tempo of its outer beats, and through its gaps, to cover the clip. Tokens
    that only touch the clip are cut at its border, so every token has a length above 0.

    Args:
        grids: one grid a clip.
        durations: (B,) lengths of the clips in seconds, each above 0.
        subdivisions: S, tokens per beat.
    """
    import torch

    clips = [
        _cut_clip(grid, float(duration), subdivisions)
        for grid, duration in zip(grids, np.atleast_1d(np.asarray(durations)), strict=True)
    ]
    size = max(len(start) for start, _, _, _ in clips)
    batch = len(clips)
    edges = np.zeros((2, batch, size))
    bar = np.zeros((batch, size), dtype=np.int64)
    phase = np.zeros((batch, size))
    mask = np.zeros((batch, size), dtype=bool)
    for row, (clip_start, clip_stop, clip_bar, clip_phase) in enumerate(clips):
        count = len(clip_start)
        edges[0, row, :count], edges[1, row, :count] = clip_start, clip_stop
        edges[:, row, count:] = clip_stop[-1]
        bar[row, :count], phase[row, :count], mask[row, :count] = clip_bar, clip_phase, True
    start, stop = torch.from_numpy(edges)
    return Tokens(start, stop, torch.from_numpy(bar), torch.from_numpy(phase), torch.from_numpy(mask))


def _cut_clip(
    grid: Grid, duration: float, subdivisions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    grid = without_gaps(grid)
    turns, step = bar_turns(grid)
    beats = grid.beats
    first_period, last_period = beats[1] - beats[0], beats[-1] - beats[-2]
    before = max(0, int(np.ceil(beats[0] / first_period - 1e-9)))
    after = max(1, int(np.ceil((duration - beats[-1]) / last_period - 1e-9)))
    outer = 1.0 / grid.metre
    head, tail = np.arange(before, 0, -1), np.arange(1, after + 1)
    beats = np.concatenate([beats[0] - head * first_period, beats, beats[-1] + tail * last_period])
    turns = np.concatenate([turns[0] - head * outer, turns, turns[-1] + step[-1] + (tail - 1) * outer])
    step = np.concatenate([np.full(before, outer), step, np.full(after, outer)])

    edge = (np.arange(subdivisions + 1) / subdivisions)[None, :]
    times = beats[:-1, None] + np.diff(beats)[:, None] * edge
    middle = (np.arange(subdivisions) + 0.5) / subdivisions
    turns = (turns[:-1, None] + step[:-1, None] * middle[None, :]).ravel()
    start = np.clip(times[:, :-1].ravel(), 0.0, duration)
    stop = np.clip(times[:, 1:].ravel(), 0.0, duration)
    # A sliver of under a microsecond is rounding at the border, not a token.
    keep = stop - start > min(1e-6, duration / 2)
    turns = turns[keep]
    turns = turns - np.floor(turns[0])
    whole = np.floor(turns)
    return start[keep], stop[keep], whole.astype(np.int64), (turns - whole) * 2 * np.pi

"""The metrical grid of a clip: beats, bars, and the beat-synchronous tokens cut from them.

Beat segmentation with S tokens per beat follows the paper's figure [P]; the value of S, the
extrapolation beyond the outer beats and the handling of irregular bars are ours [O].
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

METRES = (2, 3, 4, 5, 6, 7)
"""Supported numbers of beats per bar."""

FALLBACK_BPM = 120.0
"""Tempo of the fixed grid of a clip without a pulse [O]."""

FALLBACK_METRE = 4
"""Beats per bar of the same grid [O]."""

UNCERTAIN_CONFIDENCE = 0.5
"""Confidence of downbeats below which the commands call them uncertain [O]. A metronome has up to 0.41."""

MIN_GAP_PERIODS = 8.0
"""Shortest gap of a grid in median beat periods. A gap is a silence, see
:mod:`~motionbeat_upstream.tracking.silence`."""

_DEPRECATED = {
    "turns_at": "time_to_bars",
    "beats_at": "time_to_beats",
    "times_at": "beats_to_time",
    "bar_turns": "beats_to_bars",
    "without_gaps": "fill_gaps",
}


def __getattr__(name: str) -> Any:
    if name not in _DEPRECATED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _DEPRECATED[name]
    warnings.warn(f"{name} is called {new}", DeprecationWarning, stacklevel=2)
    return globals()[new]


@dataclass(frozen=True)
class Grid:
    """Beats and bars of one clip.

    Raises:
        ValueError: the beats do not increase, or the shapes do not match.
    """

    beats: NDArray[np.float64]
    """(N,) beat times in seconds from the start of the clip, strictly increasing. An estimate has no beats in
    silences of several bars."""
    positions: NDArray[np.int64]
    """(N,) position of each beat in its bar, counted from 1; 1 is a downbeat."""
    metre: int
    """Beats per bar; a bar of 6/8 counts as two."""
    confidence: float = 1.0
    """Confidence of the beats, in [0, 1]. 0 marks the fallback grid, 1 an annotation. For an estimate by the
    rules it is the product of two numbers: how far the pulse stands out from noise, and p / (p + q), where p
    is the probability of the beats and q that of the best alternative, at another tempo or half a beat off.
    Beats that are as probable at twice the tempo have at most 0.5."""
    downbeat_confidence: float = 1.0
    """Confidence of downbeats and metre, in [0, 1] and at most ``confidence``. It is 0 where their lead over
    the best alternative, with other downbeats or another metre, may be chance."""

    def __post_init__(self) -> None:
        beats = np.asarray(self.beats, dtype=np.float64)
        positions = np.asarray(self.positions, dtype=np.int64)
        object.__setattr__(self, "beats", beats)
        object.__setattr__(self, "positions", positions)
        if beats.ndim != 1 or len(beats) < 2:
            raise ValueError(f"a grid needs at least 2 beats in one dimension, got shape {beats.shape}")
        if positions.shape != beats.shape:
            raise ValueError(f"{len(beats)} beats, but positions of shape {positions.shape}")
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
    """Both confidences of a grid as text, as ``motionbeat beats`` prints them."""
    downbeats = f"{downbeat_confidence:.2f}"
    if downbeat_confidence < UNCERTAIN_CONFIDENCE:
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
    """Create a grid of constant tempo that covers ``[0, duration]`` seconds.

    ``first_downbeat`` (seconds) may lie outside the clip; beats before it are counted backwards from it.
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
    """Return the grid of a clip without a pulse: 120 bpm, 4/4, downbeat at 0 s, confidence 0 [O]."""
    return regular_grid(duration, FALLBACK_BPM, FALLBACK_METRE, confidence=0.0, downbeat_confidence=0.0)


def fill_gaps(grid: Grid) -> Grid:
    """Add beats in the gaps of a grid.

    The beats in a gap are evenly spaced, about as far apart as the median of the others. Their number is
    chosen so that the positions in the bar continue across the gap.
    """
    intervals = np.diff(grid.beats)
    counts = np.ones(len(intervals), dtype=np.int64)
    for gap in np.flatnonzero(intervals > MIN_GAP_PERIODS * np.median(intervals)):
        count = round(intervals[gap] / np.median(intervals))
        shift = int(grid.positions[gap + 1] - grid.positions[gap]) - count
        counts[gap] = max(1, count + (shift + grid.metre // 2) % grid.metre - grid.metre // 2)
    index = np.concatenate([[0], np.cumsum(counts)])
    filled = np.arange(index[-1] + 1)
    before = np.searchsorted(index, filled, side="right") - 1
    offset = filled - index[before]
    positions = np.where(
        offset == 0, grid.positions[before], (grid.positions[before] - 1 + offset) % grid.metre + 1
    )
    return replace(grid, beats=np.interp(filled, index, grid.beats), positions=positions)


def beats_to_bars(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert beats to bars.

    A bar between two downbeats has as many beats as the grid has there; the incomplete bars at both ends have
    the grid's metre.

    Returns:
        For each of the N beats its time counted in bars, where downbeats are whole numbers, and the share of
        a bar from it to the next beat.
    """
    downbeats = np.flatnonzero(grid.positions == 1)
    steps = np.full(len(grid.beats), 1.0 / grid.metre)
    for first, following in itertools.pairwise(downbeats):
        steps[first:following] = 1.0 / (following - first)
    bars = np.concatenate([[0.0], np.cumsum(steps[:-1])])
    if len(downbeats):
        bars -= bars[downbeats[0]]
    else:
        bars += (grid.positions[0] - 1.0) / grid.metre
    return bars, steps


def time_to_bars(grid: Grid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert (N,) ``times`` in seconds to bars, counted as in :func:`beats_to_bars`.

    Gaps are filled with :func:`fill_gaps`. The tempo of the outer beats continues beyond them.
    """
    grid = fill_gaps(grid)
    bars, steps = beats_to_bars(grid)
    beats = np.append(grid.beats, 2 * grid.beats[-1] - grid.beats[-2])
    return interpolate_linear(times, beats, np.append(bars, bars[-1] + steps[-1]))


def time_to_beats(grid: Grid, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert (N,) ``times`` in seconds to beats: 0 at the first beat of the grid, 1 at the second.

    The tempo of the outer beats continues beyond them.
    """
    return interpolate_linear(times, grid.beats, np.arange(len(grid.beats), dtype=np.float64))


def beats_to_time(grid: Grid, beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert (N,) ``beats`` to seconds; the inverse of :func:`time_to_beats`."""
    return interpolate_linear(beats, np.arange(len(grid.beats), dtype=np.float64), grid.beats)


def interpolate_linear(
    x: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate linearly, as ``np.interp`` does, and extrapolate linearly beyond the outer knots.

    Args:
        x: (N,).
        knots: (K,) increasing, K at least 2.
        values: (K,).
    """
    before = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    share = (x - knots[before]) / (knots[before + 1] - knots[before])
    interpolated: NDArray[np.float64] = values[before] + share * (values[before + 1] - values[before])
    return interpolated


@dataclass(frozen=True)
class Tokens:
    """Beat-synchronous tokens of a batch of clips, padded to the longest.

    Times are float64 on the CPU, so that borders of tokens and frames coincide exactly.
    """

    start: Tensor
    """(B, N) start of each token in seconds, clipped to the clip."""
    stop: Tensor
    """(B, N) end of each token in seconds, clipped to the clip; equals ``start`` in padding."""
    bar: Tensor
    """(B, N) index of the bar of each token."""
    phase: Tensor
    """(B, N) bar phase θ of the token's middle in radians, in [0, 2π)."""
    mask: Tensor
    """(B, N) true for tokens, false in padding."""

    def to(self, device: torch.device) -> Tokens:
        """Copy the tokens to a device, times and phases as float32."""
        return Tokens(
            self.start.float().to(device),
            self.stop.float().to(device),
            self.bar.to(device),
            self.phase.float().to(device),
            self.mask.to(device),
        )


def cut_tokens(grids: Sequence[Grid], durations: ArrayLike, subdivisions: int) -> Tokens:
    """Cut clips into ``subdivisions`` tokens per beat, from 0 s to each clip's end.

    Gaps are filled, and the tempo of the outer beats continues to the ends of the clip. Tokens across a
    clip's border are cut there; every token has a length above 0.

    Args:
        grids: one grid per clip.
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
    """Return start, stop, bar and phase of the tokens of one clip."""
    grid = fill_gaps(grid)
    bars, steps = beats_to_bars(grid)
    beats = grid.beats
    first_period, last_period = beats[1] - beats[0], beats[-1] - beats[-2]
    before = max(0, int(np.ceil(beats[0] / first_period - 1e-9)))
    after = max(1, int(np.ceil((duration - beats[-1]) / last_period - 1e-9)))
    outer = 1.0 / grid.metre
    head, tail = np.arange(before, 0, -1), np.arange(1, after + 1)
    beats = np.concatenate([beats[0] - head * first_period, beats, beats[-1] + tail * last_period])
    bars = np.concatenate([bars[0] - head * outer, bars, bars[-1] + steps[-1] + (tail - 1) * outer])
    steps = np.concatenate([np.full(before, outer), steps, np.full(after, outer)])

    edges = np.arange(subdivisions + 1) / subdivisions
    times = beats[:-1, None] + np.diff(beats)[:, None] * edges
    middles = (np.arange(subdivisions) + 0.5) / subdivisions
    bars = (bars[:-1, None] + steps[:-1, None] * middles).ravel()
    start = np.clip(times[:, :-1].ravel(), 0.0, duration)
    stop = np.clip(times[:, 1:].ravel(), 0.0, duration)
    # Tokens of less than a microsecond come from rounding at the border.
    inside = stop - start > min(1e-6, duration / 2)
    bars = bars[inside]
    bars = bars - np.floor(bars[0])
    whole = np.floor(bars)
    return start[inside], stop[inside], whole.astype(np.int64), (bars - whole) * 2 * np.pi

"""Where a clip lies in its pair: bars from a downbeat on, or seconds from anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError
from motion_data.pipeline.config import PipelineConfig
from motionbeat_upstream.beats.grid import Grid, bar_turns

SLACK = 1e-3
"""Seconds by which a bar may reach beyond the sound: lengths in manifests are rounded."""


def choose_window(
    grid: Grid | None,
    start: float,
    stop: float,
    config: PipelineConfig,
    draw: np.random.Generator,
    phase: float = 0.0,
) -> tuple[float, float]:
    """A random stretch of a pair.

    With a grid it is as long as ``config.bars`` whole bars, or fewer where these would be longer than
    ``config.longest_seconds`` or the pair has fewer; without one it is ``config.seconds``, or all there is.

    Args:
        grid: of the pair, or None.
        start: seconds from which on there are both sound and motion.
        stop: seconds until which there are.
        config: of the pipeline.
        draw: gives the start.
        phase: of the bar at which it begins, in [0, 1); 0 is a downbeat.

    Returns:
        Start and stop in seconds of the pair.

    Raises:
        DataError: sound and motion share less than ``config.shortest_seconds``, or no whole bar.
    """
    if stop - start < config.shortest_seconds:
        raise DataError(
            f"sound and motion share {max(0.0, stop - start):.2f} s; a clip needs "
            f"{config.shortest_seconds:g} s (shortest_seconds)"
        )
    if config.bars is None or grid is None:
        length = min(config.seconds, stop - start)
        begin = start + draw.random() * (stop - start - length)
        return begin, begin + length
    windows = [
        window
        for window in _bar_windows(grid, start, stop, config, phase)
        if window[1] - window[0] >= config.shortest_seconds
    ]
    if not windows:
        raise DataError(
            f"no whole bar of {config.shortest_seconds:g} to {config.longest_seconds:g} s between "
            f"{start:.2f} s and {stop:.2f} s; check the grid, or set bars to null"
        )
    return windows[draw.integers(len(windows))]


def relative_grid(grid: Grid, start: float, stop: float) -> Grid:
    """The grid on the clock of a clip, with the bars at its ends whole where the pair has them whole.

    Args:
        grid: of the pair.
        start: of the clip in seconds of the pair.
        stop: the same.
    """
    downbeats = np.flatnonzero(grid.positions == 1)
    times = grid.beats[downbeats]
    before, after = downbeats[times <= start], downbeats[times >= stop]
    first = int(before[-1]) if len(before) else 0
    last = int(after[0]) if len(after) else len(grid.beats) - 1
    if last == first:  # the clip lies before the first beat, or after the last
        first, last = (first, first + 1) if first + 1 < len(grid.beats) else (first - 1, first)
    kept = slice(first, last + 1)
    return replace(grid, beats=grid.beats[kept] - start, positions=grid.positions[kept])


def _bar_windows(
    grid: Grid, start: float, stop: float, config: PipelineConfig, phase: float
) -> list[tuple[float, float]]:
    """Every stretch of the greatest number of bars, up to ``config.bars``, that fits."""
    assert config.bars is not None
    edges = _bar_edges(grid) if phase == 0 else _at_phase(grid, phase)
    edges = edges[(edges >= start - SLACK) & (edges <= stop + SLACK)]
    for count in range(min(config.bars, len(edges) - 1), 0, -1):
        windows = [
            (max(start, float(first)), min(stop, float(last)))
            for first, last in zip(edges, edges[count:], strict=False)
            if last - first <= config.longest_seconds
        ]
        if windows:
            return windows
    return []


def _bar_edges(grid: Grid) -> NDArray[np.float64]:
    """The downbeats, and where the last bar ends if its last beat is known."""
    turns, step = bar_turns(grid)
    downbeats = grid.downbeats
    closes = turns[-1] + step[-1]
    if not len(downbeats) or abs(closes - round(closes)) > 1e-6:
        return downbeats
    end = grid.beats[-1] + (grid.beats[-1] - grid.beats[-2])
    return np.append(downbeats, end)


def _at_phase(grid: Grid, phase: float) -> NDArray[np.float64]:
    """The times of that phase in each bar, between the first and the last beat."""
    turns, _ = bar_turns(grid)
    wanted = np.arange(np.ceil(turns[0] - phase), np.floor(turns[-1] - phase) + 1) + phase
    moments: NDArray[np.float64] = np.interp(wanted, turns, grid.beats)
    return moments

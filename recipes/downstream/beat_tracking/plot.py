"""A picture of one piece: what the probe hears over time, what was annotated, what was decoded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mir_eval.util import match_events
from torch import Tensor

from motion_data.beats_file import Beats
from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream.beat_tracking.scores import F_WINDOW

STRETCH = 20.0
"""Seconds shown."""

ANNOTATED, HIT, MISS, BEAT, DOWNBEAT = "#222222", "#007a5e", "#c1272d", "#0072b2", "#d55e00"


def plot_piece(
    path: Path,
    logits: Tensor,
    frame_rate: float,
    annotated: Beats,
    estimated: Beats,
    scores: Mapping[str, float],
    title: str,
) -> None:
    """Draw a stretch from the middle of a piece, bar lines grey behind it, and write it as PNG.

    Args:
        path: where to.
        logits: (T, 2), beat and downbeat.
        frame_rate: frames a second.
        annotated: the true beats.
        estimated: the decoded beats.
        scores: of the whole piece, as ``score_piece`` gives them, shown above the plot.
        title: of the piece and the decoder.
    """
    start, stop = _stretch(annotated, len(logits) / frame_rate)
    times = (np.arange(len(logits)) + 0.5) / frame_rate
    shown = (times >= start) & (times <= stop)
    activations = logits.sigmoid().numpy()

    figure = Figure(figsize=(14, 5.2), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True, height_ratios=[1.1, 1.6, 1.6])
    _draw_beats(rows[0], annotated, estimated, start, stop)
    for axes, column, color, name in ((rows[1], 0, BEAT, "beat"), (rows[2], 1, DOWNBEAT, "downbeat")):
        truth = annotated.times if name == "beat" else annotated.downbeats
        axes.vlines(truth, 0, 1, color=ANNOTATED, lw=0.8, alpha=0.35)
        axes.fill_between(times[shown], activations[shown, column], color=color, alpha=0.25, lw=0)
        axes.plot(times[shown], activations[shown, column], color=color, lw=1.1)
        axes.set(ylim=(0, 1.02), yticks=[0, 0.5, 1], ylabel=f"P({name})")
    rows[2].set(xlim=(start, stop), xlabel="time (s)", xticks=np.arange(np.ceil(start), stop + 1e-6))
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
    downbeat = f"{scores['downbeat F']:.2f}" if "downbeat F" in scores else "–"
    figure.suptitle(f"{title}, whole piece beat F {scores['beat F']:.2f}, downbeat F {downbeat}")
    with atomic_path(path) as draft:
        figure.savefig(draft, dpi=110, format="png")


def _stretch(annotated: Beats, duration: float) -> tuple[float, float]:
    """Start and end in seconds: from just before a downbeat near the middle, if there is one."""
    start = max(0.0, (duration - STRETCH) / 2)
    bars = annotated.downbeats[annotated.downbeats <= start]
    if len(bars) and start - bars[-1] < STRETCH / 2:
        start = max(0.0, bars[-1] - 0.1)
    return start, min(start + STRETCH, duration)


def _draw_beats(axes: Axes, annotated: Beats, estimated: Beats, start: float, stop: float) -> None:
    """Two rows of strokes, tall on downbeats, with the position in the bar as a number above."""
    hits = {found for _, found in match_events(annotated.times, estimated.times, F_WINDOW)}
    colors = [HIT if index in hits else MISS for index in range(len(estimated.times))]
    for row, beats, of in ((1.0, annotated, [ANNOTATED] * len(annotated.times)), (0.0, estimated, colors)):
        for time, position, color in zip(beats.times, beats.positions, of, strict=True):
            if not start <= time <= stop:
                continue
            downbeat = position == 1
            axes.vlines(
                time, row, row + (0.55 if downbeat else 0.3), color=color, lw=2.6 if downbeat else 1.2
            )
            if position > 0:
                weight = "bold" if downbeat else "normal"
                axes.text(
                    time, row + 0.62, str(position), ha="center", fontsize=8, color=color, weight=weight
                )
    axes.set(ylim=(-0.1, 2.0), yticks=[0.25, 1.25], yticklabels=["decoded", "annotated"])
    axes.tick_params(axis="y", length=0)
    axes.set_title("decoded: green within 70 ms of an annotated beat, red not", loc="right", fontsize=8)

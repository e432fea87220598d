"""The report of an evaluation, plots of pieces, and the summary of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mir_eval.util import match_events
from torch import Tensor

from motion_data.beats_file import Beats
from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream.beat_tracking.scores import F_WINDOW, LATENESS, MEASURES, SCORES, TARGETS, TRIMMED
from recipes.results.estimates import Estimate
from recipes.results.record import Results, item_table, read_results, results_path, write_report
from recipes.results.tables import markdown_table, run_estimates

if TYPE_CHECKING:
    import pandas as pd

MAX_PIECES_IN_TABLE = 40
"""With more recordings, the report has no table of recordings."""

MIN_PIECES_FOR_INTERVAL = 5
"""With fewer pieces, a bootstrap interval is hardly meaningful [O]."""

DECODER_NAMES = {"dbn": "the Bayesian decoder", "peaks": "peak picking"}


def report(folder: Path, results: Results) -> str:
    """Write results and their report; returns the report without the table of recordings.

    Measures are named ``DECODER MEASURE``, see :func:`~recipes.downstream.beat_tracking.scores.score_piece`.
    """
    text = _means_text(results)
    table = item_table(results)
    pieces = _piece_lines(table, _decoders(results)) if len(table) <= MAX_PIECES_IN_TABLE else []
    write_report(folder, [results], "\n".join([text, *pieces]))
    return text


def result_lines(folder: Path, criterion: str) -> list[str]:
    """Lines with the best step of a training and its test scores."""
    path = results_path(folder)
    (results,) = read_results(path)
    estimates = _estimates(results)
    lines = [f"best on dev: the weights of step {results.run.step}, {criterion}"]
    for target in TARGETS:
        scores, pieces = [], 0
        for decoder in _decoders(results):
            estimate = estimates.get(f"{decoder} {target} F")
            if estimate is not None:
                scores.append(f"{estimate.text()} with {DECODER_NAMES[decoder]}")
                pieces = estimate.groups
        if scores:
            lines.append(f"test {target} F, {pieces} piece(s): {', '.join(scores)}")
    return [*lines, f"{folder}: dev-best.ckpt, {path.stem}.md, {path.name}"]


def _decoders(results: Results) -> Sequence[str]:
    decoders: Sequence[str] = results.run.details["settings"]["decodingrc"]["decoders"]
    return decoders


def _estimates(results: Results) -> dict[str, Estimate]:
    names = [f"{decoder} {score}" for decoder in _decoders(results) for score in SCORES]
    resamples = results.run.details["settings"]["scoringrc"]["resamples"]
    return run_estimates(results, names, resamples, results.run.seed)


def _means_text(results: Results) -> str:
    """The report without the table of recordings, as markdown."""
    run, estimates = results.run, _estimates(results)
    sizes = ", ".join(f"{split} {size}" for split, size in run.details["sizes"].items())
    fold = f", test fold {run.fold}" if run.fold else ""
    rows = []
    for decoder in _decoders(results):
        for target in TARGETS:
            if f"{decoder} {target} F" in estimates:
                scores = [estimates[f"{decoder} {target} {measure}"] for measure in MEASURES]
                rows.append([decoder, target, str(scores[0].groups), *(score.text() for score in scores)])
    lines = [
        run.title(f", {run.details['settings']['modelrc']['probe']} probe"),
        "",
        f"Data: {run.data}{fold}; {sizes}. Seed {run.seed}.",
        "",
        *markdown_table(["decoder", "target", "pieces", *MEASURES], rows),
    ]
    return "\n".join([*lines, "", *_notes(results), ""])


def _notes(results: Results) -> list[str]:
    table, decoder = item_table(results), _decoders(results)[0]
    table = table.reindex(columns=[f"{decoder} {name}" for name in ("downbeat F", TRIMMED, LATENESS)])
    table = table.set_axis(["downbeat", "trimmed", "lateness"], axis="columns").droplevel("group")
    pieces = len({group for item, group, _, _ in results.rows if item})
    notes = ["Means over pieces, 95 % bootstrap intervals over pieces in brackets; F at ±70 ms."]
    if pieces < MIN_PIECES_FOR_INTERVAL:
        notes.append(f"{pieces} piece(s) are too few for a meaningful interval.")
    trim = results.run.details["settings"]["scoringrc"]["trim_seconds"]
    untrimmed = list(table.index[table["trimmed"] == 0])
    if trim > 0 and len(untrimmed) < len(table):
        notes.append(f"Beats in the first {trim:g} s of a piece are not scored.")
    if trim > 0 and untrimmed:
        notes.append(f"Too short to leave out the first {trim:g} s: {_names(untrimmed)}.")
    without = list(table.index[table["downbeat"].isna()])
    if without:
        notes.append(f"Without annotated downbeats: {_names(without)}.")
    late = np.sort(table["lateness"].dropna() * 1000)
    if len(late):
        notes.append(f"Matched beats are {_lateness(late[len(late) // 2])}, the median over pieces.")
    return notes


def _lateness(milliseconds: float) -> str:
    rounded = round(milliseconds)
    return "on time" if rounded == 0 else f"{abs(rounded)} ms {'late' if rounded > 0 else 'early'}"


def _piece_lines(table: pd.DataFrame, decoders: Sequence[str]) -> list[str]:
    table = table.reindex(columns=[f"{decoder} {score}" for decoder in decoders for score in SCORES])
    rows = [
        [item, decoder, *(Estimate(values[f"{decoder} {score}"]).text() for score in SCORES)]
        for (item, _), values in table.iterrows()
        for decoder in decoders
    ]
    return [*markdown_table(["piece", "decoder", *SCORES], rows), ""]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more (see the results file)"


PLOT_SECONDS = 20.0
"""Length of the plotted excerpt."""

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
    """Plot activations and beats of an excerpt from the middle of a piece.

    Args:
        path: path of the PNG.
        logits: (T, 2) logits of beat and downbeat.
        frame_rate: frames per second of the logits.
        annotated: annotated beats.
        estimated: decoded beats.
        scores: scores of the piece, for the title.
        title: piece and decoder.
    """
    start, stop = _excerpt(annotated, len(logits) / frame_rate)
    times = (np.arange(len(logits)) + 0.5) / frame_rate
    shown = (times >= start) & (times <= stop)
    activations = logits.sigmoid().numpy()

    figure = Figure(figsize=(14, 5.2), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True, height_ratios=[1.1, 1.6, 1.6])
    _draw_beats(rows[0], annotated, estimated, start, stop)
    for axes, column, color, name in ((rows[1], 0, BEAT, "beat"), (rows[2], 1, DOWNBEAT, "downbeat")):
        reference = annotated.times if name == "beat" else annotated.downbeats
        axes.vlines(reference, 0, 1, color=ANNOTATED, lw=0.8, alpha=0.35)
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


def _excerpt(annotated: Beats, duration: float) -> tuple[float, float]:
    """Start and end in seconds: from a downbeat near the middle, if there is one."""
    start = max(0.0, (duration - PLOT_SECONDS) / 2)
    bars = annotated.downbeats[annotated.downbeats <= start]
    if len(bars) and start - bars[-1] < PLOT_SECONDS / 2:
        start = max(0.0, bars[-1] - 0.1)
    return start, min(start + PLOT_SECONDS, duration)


def _draw_beats(axes: Axes, annotated: Beats, estimated: Beats, start: float, stop: float) -> None:
    """Plot annotated and decoded beats as lines, with their positions as numbers."""
    hits = {index for _, index in match_events(annotated.times, estimated.times, F_WINDOW)}
    colors = [HIT if index in hits else MISS for index in range(len(estimated.times))]
    for row, beats, row_colors in (
        (1.0, annotated, [ANNOTATED] * len(annotated.times)),
        (0.0, estimated, colors),
    ):
        for time, position, color in zip(beats.times, beats.positions, row_colors, strict=True):
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
    axes.set_title("decoded: green within 70 ms of an annotated beat, otherwise red", loc="right", fontsize=8)

"""The report of a clip task: a table of scores with intervals, and a plot of predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix

from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream.clip_probing.clips import ClipData
from recipes.downstream.clip_probing.predictions import (
    Predictions,
    compare_predictions,
    prediction_rows,
    read_predictions,
)
from recipes.downstream.clip_probing.targets import Classes, Tags, Target
from recipes.results.estimates import Estimate
from recipes.results.record import Results, Run, write_report
from recipes.results.tables import markdown_table


def report(folder: Path, run: Run, predictions: Predictions, data: ClipData) -> str:
    """Write the results of a run on ``data``, their report and a plot; returns the report."""
    target = data.target
    results = Results(run, prediction_rows(predictions, target))
    if run.details["settings"]["plots"] and run.split == "test":
        title = f"{run.task}, {data.name}: {run.upstream}"
        plot_predictions(folder / f"predictions-{run.split}.png", predictions, target, title)
    # The report is computed from the written rows.
    read, resamples = read_predictions([results], target), run.details["settings"]["scoringrc"]["resamples"]
    ((scores,), _) = compare_predictions([[read]], target, resamples, run.seed)
    sizes = ", ".join(f"{split} {len(clips)}" for split, clips in data.splits.items())
    rows = [
        [run.upstream, *(score.text(undefined="undefined") for score in scores)],
        ["best constant", *(Estimate(value).text() for value in target.chance(read.labels))],
    ]
    lines = [
        run.title(f", {run.details['settings']['modelrc']['probe']} probe"),
        "",
        f"Data: {run.data}; {sizes}. Seed {run.seed}.",
        "",
        *markdown_table(["", *target.measures], rows),
        "",
        f"{len(read.names)} clips; 95 % bootstrap intervals over {len(set(read.groups))} "
        f"{data.grouped_by}s in brackets.",
    ]
    missing = [name for name, score in zip(target.measures, scores, strict=True) if np.isnan(score.value)]
    if missing:
        reason = "the labels or the predictions are the same for all clips"
        lines.append(f"Undefined, because {reason}: {', '.join(missing)}.")
    text = "\n".join([*lines, ""])
    write_report(folder, [results], text)
    return text


CELL_INCHES = 0.42
"""Size of a cell of the confusion matrix."""

MAX_LABELLED_CLASSES = 20
"""With more classes, the cells of the confusion matrix have no numbers."""


def plot_predictions(path: Path, predictions: Predictions, target: Target, title: str) -> None:
    """Plot the confusion matrix of classes, the average precision of each tag, or predicted against true
    values.

    Args:
        path: path of the PNG, which is written atomically.
        predictions: predictions for the tested clips.
        target: target of the data set.
        title: title of the plot.
    """
    if isinstance(target, Classes):
        figure = _confusion(predictions, target)
    elif isinstance(target, Tags):
        figure = _precision(predictions, target)
    else:
        figure = _value_scatter(predictions, target)
    figure.suptitle(title, fontsize="medium")
    with atomic_path(path) as draft:
        figure.savefig(draft, format="png", dpi=120)


def _confusion(predictions: Predictions, target: Target) -> Figure:
    count = len(target.names)
    matrix = confusion_matrix(predictions.labels, predictions.values.argmax(1), labels=range(count))
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2.2 + CELL_INCHES * count
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), target.names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), target.names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("annotated")
    if count <= MAX_LABELLED_CLASSES:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=8
            )
    figure.colorbar(image, label="share of the annotated class", shrink=0.8)
    return figure


def _precision(predictions: Predictions, target: Target) -> Figure:
    varied = np.flatnonzero(np.ptp(predictions.labels, axis=0) > 0)
    labels, values = predictions.labels, predictions.values
    precision = np.array([average_precision_score(labels[:, k], values[:, k]) for k in varied])
    order = np.argsort(precision)
    figure = Figure(figsize=(6.4, 1.2 + 0.2 * len(order)), layout="constrained")
    axes = figure.add_subplot()
    heights = np.arange(len(order))
    axes.barh(heights, precision[order], color="tab:blue", label="probe")
    chance = predictions.labels[:, varied].mean(0)[order]
    axes.scatter(chance, heights, marker="|", color="black", zorder=3, label="best constant")
    axes.set_yticks(heights, [target.names[varied[k]] for k in order], fontsize=7)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlim(0, 1)
    axes.set_xlabel("average precision")
    axes.legend(loc="lower right")
    return figure


def _value_scatter(predictions: Predictions, target: Target) -> Figure:
    count = len(target.names)
    figure = Figure(figsize=(3.6 * count, 3.8), layout="constrained")
    for column, name in enumerate(target.names):
        axes = figure.add_subplot(1, count, column + 1)
        _scatter(axes, predictions.labels[:, column], predictions.values[:, column])
        axes.set_title(name)
    return figure


def _scatter(axes: Axes, annotated: NDArray[np.float32], predicted: NDArray[np.float32]) -> None:
    values = np.concatenate([annotated, predicted])
    margin = 0.05 * max(float(np.ptp(values)), 1e-6)
    ends = (values.min() - margin, values.max() + margin)
    axes.plot(ends, ends, color="grey", linewidth=0.8)
    axes.scatter(annotated, predicted, s=10, alpha=0.6)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.set_xlabel("annotated")
    axes.set_ylabel("predicted")

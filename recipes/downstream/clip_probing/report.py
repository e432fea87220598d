"""The report of a clip task: a table of scores with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recipes.downstream.clip_probing.clips import ClipData
from recipes.downstream.clip_probing.plots import plot_predictions
from recipes.downstream.clip_probing.predictions import (
    Predictions,
    compare_predictions,
    prediction_rows,
    read_predictions,
)
from recipes.results.estimates import Estimate
from recipes.results.record import Results, Run, write_report
from recipes.results.tables import markdown_table


def report(folder: Path, run: Run, predictions: Predictions, data: ClipData) -> str:
    """Write the results of a run, a report and a plot; returns the report.

    Args:
        folder: of the run.
        run: with the task's settings in its details.
        predictions: of the clips of its split.
        data: the data set that was tested on.
    """
    results = Results(run, prediction_rows(predictions, data.target))
    if run.details["settings"]["plots"] and run.split == "test":
        title = f"{run.task}, {data.name}: {run.upstream}"
        plot_predictions(folder / f"said-{run.split}.png", predictions, data.target, title)
    # The report is made of what is written.
    text = _text(run, read_predictions([results], data.target), data)
    write_report(folder, [results], text)
    return text


def _text(run: Run, predictions: Predictions, data: ClipData) -> str:
    settings, target = run.details["settings"], data.target
    resamples = settings["scoringrc"]["resamples"]
    ((scores,), _) = compare_predictions([[predictions]], target, resamples, run.seed)
    sizes = ", ".join(f"{split} {len(clips)}" for split, clips in data.splits.items())
    rows = [
        [run.upstream, *(one.text(undefined="undefined") for one in scores)],
        ["without listening", *(Estimate(value).text() for value in target.chance(predictions.labels))],
    ]
    lines = [
        run.title(f", {settings['modelrc']['probe']} probe"),
        "",
        f"Data: {run.data}; {sizes}. Seed {run.seed}.",
        "",
        *markdown_table(["", *target.measures], rows),
        "",
        f"{len(predictions.names)} clips; 95 % bootstrap intervals over {len(set(predictions.groups))} "
        f"{data.grouped_by}s in brackets.",
        *_undefined(target.measures, scores),
        "",
    ]
    return "\n".join(lines)


def _undefined(measures: Sequence[str], scores: Sequence[Estimate]) -> list[str]:
    missing = [name for name, score in zip(measures, scores, strict=True) if np.isnan(score.value)]
    if not missing:
        return []
    return [f"Undefined, since what is tested or said of it is the same for all clips: {', '.join(missing)}."]

"""The report of a clip task: a table of scores with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recipes.downstream.clip_probing.clips import ClipData
from recipes.downstream.clip_probing.predictions import compare_predictions, read_predictions
from recipes.results.estimates import Estimate
from recipes.results.record import Results, write_report
from recipes.results.tables import markdown_table


def report(folder: Path, results: Results, data: ClipData) -> str:
    """Write the results of a run and a report; returns the report.

    Args:
        folder: of the run.
        results: with the rows of :func:`~recipes.downstream.clip_probing.predictions.prediction_rows`.
        data: the data set that was tested on.
    """
    text = _text(results, data)
    write_report(folder, [results], text)
    return text


def _text(results: Results, data: ClipData) -> str:
    run, settings = results.run, results.run.details["settings"]
    predictions = read_predictions([results], data.target)
    ((scores,), _) = compare_predictions(
        [[predictions]], data.target, settings["scoringrc"]["resamples"], run.seed
    )
    chance = data.target.chance(predictions.labels)
    sizes = ", ".join(f"{split} {len(clips)}" for split, clips in data.splits.items())
    lines = [
        run.title(f", {settings['modelrc']['probe']} probe"),
        "",
        f"Data: {run.data}; {sizes}. Seed {run.seed}.",
        "",
        *markdown_table(
            ["", *data.target.measures],
            [
                [run.upstream, *(one.text(undefined="undefined") for one in scores)],
                ["without listening", *(Estimate(value).text() for value in chance)],
            ],
        ),
        "",
        f"{len(predictions.names)} clips; 95 % bootstrap intervals over {len(set(predictions.groups))} "
        f"{data.grouped_by}s in brackets.",
        *_undefined(data.target.measures, scores),
        "",
    ]
    return "\n".join(lines)


def _undefined(measures: Sequence[str], scores: Sequence[Estimate]) -> list[str]:
    missing = [name for name, score in zip(measures, scores, strict=True) if np.isnan(score.value)]
    if not missing:
        return []
    return [f"Undefined, since what is tested or said of it is the same for all clips: {', '.join(missing)}."]

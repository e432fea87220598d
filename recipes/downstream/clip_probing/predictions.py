"""Predictions for clips: averaged over slices, as rows of results, and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.downstream.clip_probing.clips import Clip, labels
from recipes.downstream.clip_probing.targets import Classes, Target
from recipes.results.estimates import Estimate, bootstrap_estimates
from recipes.results.record import Results, Row, item_table

DIGITS = 5
"""Decimals of a prediction in the results."""


@dataclass(frozen=True)
class Predictions:
    """Predictions and labels of N clips."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    labels: NDArray[np.float32]
    """(N,) or (N, K)."""
    values: NDArray[np.float32]
    """(N, K), see :mod:`~recipes.downstream.clip_probing.targets`."""


def clip_predictions(
    logits: Tensor, frames: Tensor, owner: Tensor, clips: Sequence[Clip], target: Target
) -> Predictions:
    """The mean predictions of clips over their slices, weighted by length.

    Args:
        logits: (S, K) logits of all slices.
        frames: (S,) number of frames of each slice.
        owner: (S,) int64 index of the clip of each slice; every clip has at least one.
        clips: N clips.
        target: target of the data set.
    """
    total = torch.zeros(len(clips)).index_add_(0, owner, frames)
    weighted = (frames / total[owner])[:, None] * target.predict(logits)
    values = torch.zeros(len(clips), logits.shape[1]).index_add_(0, owner, weighted)
    return Predictions(
        tuple(clip.name for clip in clips), tuple(clip.group for clip in clips), labels(clips), values.numpy()
    )


def prediction_rows(predictions: Predictions, target: Target) -> list[Row]:
    """A row for each label and each predicted value of a clip."""
    label_names, value_names = _measures(target)
    rows: list[Row] = []
    for number, (name, group) in enumerate(zip(predictions.names, predictions.groups, strict=True)):
        label = np.atleast_1d(predictions.labels[number]).tolist()
        values = np.round(predictions.values[number].astype(float), DIGITS).tolist()
        rows += [(name, group, measure, value) for measure, value in zip(label_names, label, strict=True)]
        rows += [(name, group, measure, value) for measure, value in zip(value_names, values, strict=True)]
    return rows


def read_predictions(results: Sequence[Results], target: Target) -> Predictions:
    """Predictions from the rows of :func:`prediction_rows`, of one run or of all folds of one seed."""
    label_names, value_names = _measures(target)
    tables = [item_table(result) for result in results]
    items = [item for table in tables for item in table.index]
    label = np.concatenate([table[label_names].to_numpy(np.float32) for table in tables])
    return Predictions(
        tuple(name for name, _ in items),
        tuple(group for _, group in items),
        label[:, 0] if isinstance(target, Classes) else label,
        np.concatenate([table[value_names].to_numpy(np.float32) for table in tables]),
    )


def compare_predictions(
    runs: Sequence[Sequence[Predictions]], target: Target, resamples: int, seed: int = 0
) -> tuple[list[list[Estimate]], list[list[Estimate]]]:
    """Scores of upstreams, and paired differences between the first and the others.

    Args:
        runs: for each upstream the predictions of each seed, all of the same clips.
        target: target of the data set.
        resamples: number of resamples of the groups, the same for all upstreams.
        seed: seed of the resampling.

    Returns:
        For each upstream an estimate for each measure of the target, and the same for the differences. All
        are means over seeds.
    """

    def statistic(items: NDArray[np.int64]) -> NDArray[np.float64]:
        scores = [
            np.mean([target.scores(run.values[items], run.labels[items]) for run in seeds], axis=0)
            for seeds in runs
        ]
        return np.concatenate([*scores, *(scores[0] - other for other in scores[1:])])

    estimates = bootstrap_estimates(statistic, runs[0][0].groups, resamples, seed)
    count = len(target.measures)
    rows = [estimates[start : start + count] for start in range(0, len(estimates), count)]
    return rows[: len(runs)], rows[len(runs) :]


def _measures(target: Target) -> tuple[list[str], list[str]]:
    """Measures of the labels and of the predicted values in results."""
    label_names = ["label"] if isinstance(target, Classes) else [f"label {name}" for name in target.names]
    return label_names, [f"prediction {name}" for name in target.names]

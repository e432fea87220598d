"""One row an upstream from the runs of a data set: folds pooled, seeds averaged, intervals over groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipes.downstream.clip_probing.report import Said, read_said
from recipes.downstream.clip_probing.targets import Target
from recipes.statistics.group_bootstrap import group_interval


def pooled(folders: Sequence[Path]) -> Said:
    """What was said of all tested clips of one seed, in all folds."""
    parts = [read_said(folder / "scores-test.json") for folder in folders]
    return Said(
        tuple(name for part in parts for name in part.names),
        tuple(group for part in parts for group in part.groups),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.said for part in parts]),
    )


def table(
    runs: Mapping[str, Sequence[Said]], target: Target, grouped_by: str, resamples: int = 1000
) -> list[str]:
    """Lines of markdown: a row an upstream, then the first one's margins over the others.

    Args:
        runs: what was said by the probes of each upstream, one entry a seed, of the same clips.
        target: of the data set.
        grouped_by: what a group is.
        resamples: of the bootstrap.
    """
    first = next(iter(runs.values()))[0]
    labels = list(runs)

    def statistic(items: NDArray[np.int64]) -> NDArray[np.float64]:
        """(U · M,) scores of all upstreams on the same items, means over seeds."""
        scores = [
            np.mean([target.scores(one.said[items], one.labels[items]) for one in seeds], axis=0)
            for seeds in runs.values()
        ]
        return np.concatenate([*scores, *(scores[0] - other for other in scores[1:])])

    values = statistic(np.arange(len(first.names)))
    interval = group_interval(statistic, first.groups, resamples)
    low, high = (np.full(len(values), np.nan),) * 2 if interval is None else interval
    measures = target.measures
    rows = [*labels, *(f"{labels[0]} − {other}" for other in labels[1:])]
    cells = [
        _cell(*figures, sign="+" if index >= len(labels) * len(measures) else "")
        for index, figures in enumerate(zip(values, low, high, strict=True))
    ]
    chance = ["–" if np.isnan(value) else f"{value:.3f}" for value in target.chance(first.labels)]
    lines = [f"| upstream | {' | '.join(measures)} |", "|---" * (len(measures) + 1) + "|"]
    for number, row in enumerate(rows):
        of = cells[number * len(measures) : (number + 1) * len(measures)]
        lines.append(f"| {row} | {' | '.join(of)} |")
        if number == len(labels) - 1:
            lines.append(f"| without listening | {' | '.join(chance)} |")
    groups = len(set(first.groups))
    return [
        *lines,
        "",
        f"{len(first.names)} test clips; means over {len(next(iter(runs.values())))} seeds, 95 % bootstrap "
        f"intervals over {groups} {grouped_by}s; the last rows are paired differences.",
    ]


def _cell(value: float, low: float, high: float, sign: str) -> str:
    if np.isnan(value):
        return "undefined"
    if np.isnan(low):
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"

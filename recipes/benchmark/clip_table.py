"""One row an upstream from the runs of a data set: folds pooled, seeds averaged, intervals over groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipes.benchmark.result_table import ResultTable
from recipes.downstream.clip_probing.report import Said, read_said
from recipes.downstream.clip_probing.targets import Target
from recipes.statistics.estimate import Estimate
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


def clip_table(
    title: str, runs: Mapping[str, Sequence[Said]], target: Target, grouped_by: str, resamples: int = 1000
) -> ResultTable:
    """The table of a data set; margins are those of the first upstream over the others.

    Args:
        title: of the table.
        runs: what was said by the probes of each upstream, one entry a seed, of the same clips.
        target: of the data set.
        grouped_by: what a group is.
        resamples: of the bootstrap.
    """
    first = next(iter(runs.values()))[0]
    labels = list(runs)

    def statistic(items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores of all upstreams on the same items, means over seeds, then the margins of the first."""
        scores = [
            np.mean([target.scores(one.said[items], one.labels[items]) for one in seeds], axis=0)
            for seeds in runs.values()
        ]
        return np.concatenate([*scores, *(scores[0] - other for other in scores[1:])])

    values = statistic(np.arange(len(first.names)))
    interval = group_interval(statistic, first.groups, resamples)
    low, high = (np.full(len(values), np.nan),) * 2 if interval is None else interval
    estimates = [
        Estimate(*figures) for figures in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
    count = len(target.measures)
    rows = [estimates[place : place + count] for place in range(0, len(estimates), count)]
    return ResultTable(
        title,
        target.measures,
        dict(zip(labels, rows[: len(labels)], strict=True)),
        dict(zip([f"{labels[0]} − {other}" for other in labels[1:]], rows[len(labels) :], strict=True)),
        {"without listening": target.chance(first.labels).tolist()},
        f"{len(first.names)} test clips, {len(set(first.groups))} {grouped_by}s, over which the 95 % "
        f"bootstrap intervals are; means over {len(next(iter(runs.values())))} seeds; the last rows are "
        f"paired differences.",
    )

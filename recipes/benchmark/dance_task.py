"""Dances generated from each upstream's features, by the same generator, as one of the benchmark's tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.benchmark.corpus_task import CorpusPlan
from recipes.benchmark.result_table import ResultTable
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.dance_metrics.item_scores import ITEM_MEASURES
from recipes.dance_metrics.report import HEADINGS
from recipes.statistics.estimate import Estimate, mean_estimate

OF_ITEMS = (
    *("contacts_on_beats", "contacts_on_steps", "beat_align_fact", "beat_align_bailando"),
    *("pfc", "skating_ratio"),
)
"""Measures of single dances, in the order of columns."""

OF_SETS = ("fid_kinetic", "fid_geometric", "div_kinetic", "div_geometric")
"""Measures of all dances together."""


class DancePlan(CorpusPlan):
    """A corpus of motion_data that is danced to."""

    task = "dance_generation"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream, the true dances' own below."""
        contents = self.scores(upstreams, out)
        items = {label: _by_dance(runs) for label, runs in contents.items()}
        first = next(iter(contents))
        blank = [Estimate(float("nan"))] * len(OF_SETS)
        margins = {
            f"{first} − {other}": [
                *(_margin(items[first][measure], of[measure], resamples) for measure in OF_ITEMS),
                *blank,
            ]
            for other, of in list(items.items())[1:]
        }
        truth = contents[first][0]["truth"]["measures"]
        strangers = contents[first][0]["truth_to_others_music"]
        count = len(contents[first][0]["generated"]["dances"])
        return [
            ResultTable(
                f"dance_generation: {self.root.name}",
                tuple(HEADINGS[measure] for measure in (*OF_ITEMS, *OF_SETS)),
                {
                    label: [
                        *(mean_estimate(list(items[label][m].values()), resamples) for m in OF_ITEMS),
                        *(_of_set(runs, measure) for measure in OF_SETS),
                    ]
                    for label, runs in contents.items()
                },
                margins,
                {
                    "the true dances": [
                        _number(truth[measure]["value"]) for measure in (*OF_ITEMS, *OF_SETS)
                    ],
                    "the true dances, each to the music of others": [
                        _number(strangers.get(measure)) for measure in (*OF_ITEMS, *OF_SETS)
                    ],
                },
                f"{count} pieces danced, means over {len(self.seeds)} seed(s); 95 % bootstrap intervals over "
                f"pieces, of FID and diversity the jackknife's; the last rows are paired differences. The "
                f"FID of the true dances is that between halves of them.",
            )
        ]


def _by_dance(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """For every measure of single dances the mean over seeds of each."""
    found: dict[str, dict[str, list[float]]] = {measure: defaultdict(list) for measure in ITEM_MEASURES}
    for run in runs:
        for dance in run["generated"]["dances"]:
            for measure in ITEM_MEASURES:
                found[measure][dance["name"]].append(_number(dance[measure]))
    return {
        measure: {name: float(np.mean(values)) for name, values in sorted(of.items())}
        for measure, of in found.items()
    }


def _margin(one: Mapping[str, float], other: Mapping[str, float], resamples: int) -> Estimate:
    return mean_estimate([one[name] - other[name] for name in one if name in other], resamples)


def _of_set(runs: Sequence[Mapping[str, Any]], measure: str) -> Estimate:
    """The mean over seeds, of the interval's ends too."""
    found = [run["generated"]["measures"][measure] for run in runs]
    ends = ("value", "low", "high")
    return Estimate(*(float(np.mean([_number(one[end]) for one in found])) for end in ends))


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)

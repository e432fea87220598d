"""Dances generated from each upstream's features, by the same generator, as one of the benchmark's tasks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recipes.benchmark.corpus_task import CorpusPlan
from recipes.benchmark.result_table import ResultTable
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.dance_metrics.report import HEADINGS
from recipes.statistics.estimate import Estimate, mean_estimate, plain_mean


@dataclass(frozen=True)
class ItemColumn:
    """A measure of single dances, read from what a run wrote of each."""

    measure: str
    above_others: bool = False
    """Whether less what the same dance reaches on the music of others, which is chance."""

    @property
    def heading(self) -> str:
        """As the table has it."""
        return "above others' music ↑" if self.above_others else HEADINGS[self.measure]

    def of(self, dance: Mapping[str, Any]) -> float:
        """Of one dance."""
        value = _number(dance[self.measure])
        return value - self.of_others(dance) if self.above_others else value

    def of_others(self, dance: Mapping[str, Any]) -> float:
        """Of one dance on the music of others; NaN where that says nothing."""
        return _number(dance["to_others_music"].get(self.measure))


OF_ITEMS = (
    *(ItemColumn("contacts_on_beats"), ItemColumn("contacts_on_beats", above_others=True)),
    ItemColumn("contacts_on_steps"),
    *(ItemColumn("beat_align_fact"), ItemColumn("beat_align_fact", above_others=True)),
    *(ItemColumn("beat_align_bailando"), ItemColumn("beat_align_bailando", above_others=True)),
    *(ItemColumn("pfc"), ItemColumn("skating_ratio")),
)
"""Columns of single dances, in their order."""

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
        blank = [math.nan] * len(OF_SETS)
        margins = {
            f"{first} − {other}": [
                *(_margin(items[first][column], of[column], resamples) for column in OF_ITEMS),
                *map(Estimate, blank),
            ]
            for other, of in list(items.items())[1:]
        }
        truth = contents[first][0]["truth"]
        count = len(contents[first][0]["generated"]["dances"])
        return [
            ResultTable(
                f"dance_generation: {self.root.name}",
                (*(column.heading for column in OF_ITEMS), *(HEADINGS[measure] for measure in OF_SETS)),
                {
                    label: [
                        *(mean_estimate(list(of.values()), resamples) for of in items[label].values()),
                        *(_of_set(runs, measure) for measure in OF_SETS),
                    ]
                    for label, runs in contents.items()
                },
                margins,
                {
                    "the true dances": [
                        *(plain_mean([column.of(dance) for dance in truth["dances"]]) for column in OF_ITEMS),
                        *(_number(truth["measures"][measure]["value"]) for measure in OF_SETS),
                    ],
                    "the true dances, each to the music of others": [
                        *(
                            math.nan
                            if column.above_others
                            else plain_mean([column.of_others(dance) for dance in truth["dances"]])
                            for column in OF_ITEMS
                        ),
                        *blank,
                    ],
                },
                f"{count} pieces danced, means over {len(self.seeds)} seed(s); 95 % bootstrap intervals over "
                f"pieces, of FID and diversity the jackknife's; the last rows are paired differences. Above "
                f"others' music: less what the same dances reach on the music of other pieces, which is "
                f"chance. The FID of the true dances is that between halves of them.",
            )
        ]


def _by_dance(runs: Sequence[Mapping[str, Any]]) -> dict[ItemColumn, dict[str, float]]:
    """For every column of single dances the mean over seeds of each."""
    found: dict[ItemColumn, dict[str, list[float]]] = {column: defaultdict(list) for column in OF_ITEMS}
    for run in runs:
        for dance in run["generated"]["dances"]:
            for column in OF_ITEMS:
                found[column][dance["name"]].append(column.of(dance))
    return {
        column: {name: float(np.mean(values)) for name, values in sorted(of.items())}
        for column, of in found.items()
    }


def _margin(one: Mapping[str, float], other: Mapping[str, float], resamples: int) -> Estimate:
    return mean_estimate([one[name] - other[name] for name in one if name in other], resamples)


def _of_set(runs: Sequence[Mapping[str, Any]], measure: str) -> Estimate:
    """The mean over seeds, of the interval's ends too."""
    found = [run["generated"]["measures"][measure] for run in runs]
    ends = ("value", "low", "high")
    return Estimate(*(float(np.mean([_number(one[end]) for one in found])) for end in ends))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

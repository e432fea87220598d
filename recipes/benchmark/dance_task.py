"""Dances generated from each upstream's features, by the same generator, as one of the benchmark's tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recipes.benchmark.corpus_task import CorpusPlan
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.dance_metrics.scores import (
    ABOVE_OTHERS,
    HEADINGS,
    OTHERS_MUSIC,
    SET_MEASURES,
    TRUTH,
    dance_scores,
)
from recipes.results.estimates import Estimate
from recipes.results.record import Results, by_item, long_form
from recipes.results.tables import ResultTable, mean_table

OF_DANCES = {
    name: "above others' music ↑" if name.endswith(ABOVE_OTHERS) else HEADINGS[name]
    for name in (
        *("contacts_on_beats", f"contacts_on_beats{ABOVE_OTHERS}", "contacts_on_steps"),
        *("beat_align_fact", f"beat_align_fact{ABOVE_OTHERS}"),
        *("beat_align_bailando", f"beat_align_bailando{ABOVE_OTHERS}"),
        *("pfc", "skating_ratio"),
    )
}
"""Columns of single dances, before those of all dances together."""


class DancePlan(CorpusPlan):
    """A corpus of motion_data that is danced to."""

    task = "dance_generation"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream, the true dances' own below."""
        runs = {choice.label: self.results(choice, out) for choice in upstreams}
        first, truth = runs[upstreams[0].label][0]
        notes = (
            f"{len(by_item(first))} pieces danced, means over {len(self.seeds)} seed(s); 95 % bootstrap "
            f"intervals over pieces, of FID and diversity the jackknife's; the last rows are paired "
            f"differences. Above others' music: less what the same dances reach on the music of other "
            f"pieces, which is chance. The FID of the true dances is that between halves of them."
        )
        rows = long_form([*self.own_results(upstreams, out), truth])
        title = f"{self.task}: {self.root.name}"
        table = mean_table(title, rows, OF_DANCES, notes, references=[TRUTH], resamples=resamples)
        true_scores = dance_scores([first, truth]).truth
        true_set = [true_scores[measure].value for measure in SET_MEASURES]
        on_others = by_item(truth).mean().reindex([f"{name}{OTHERS_MUSIC}" for name in OF_DANCES])
        blank = [math.nan] * len(SET_MEASURES)
        return [
            replace(
                table,
                measures=(*table.measures, *(HEADINGS[measure] for measure in SET_MEASURES)),
                rows={label: [*row, *_set_estimates(runs[label])] for label, row in table.rows.items()},
                margins={label: [*row, *map(Estimate, blank)] for label, row in table.margins.items()},
                references={
                    TRUTH: [*table.references[TRUTH], *true_set],
                    f"{TRUTH}, each to the music of others": [*on_others, *blank],
                },
            )
        ]


def _set_estimates(runs: Sequence[Sequence[Results]]) -> list[Estimate]:
    """The means over seeds of the measures of all dances together, of the intervals' ends too."""
    scores = [dance_scores(run).generated for run in runs]

    def mean(measure: str, end: str) -> float:
        return float(np.mean([getattr(one[measure], end) for one in scores]))

    return [
        Estimate(mean(measure, "value"), mean(measure, "low"), mean(measure, "high"))
        for measure in SET_MEASURES
    ]

"""Dances generated from each upstream's features, by the same generator, as one of the benchmark's tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from recipes.benchmark.corpus_task import CorpusPlan
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.dance_metrics.report import HEADINGS
from recipes.dance_metrics.scores import OTHERS_MUSIC, SET_MEASURES, TRUTH, dance_scores
from recipes.results.estimates import Estimate
from recipes.results.record import Results, by_item, long_form
from recipes.results.tables import (
    ResultTable,
    against_others,
    group_values,
    mean_estimates,
    paired_differences,
)

ABOVE = " above others' music"
"""Follows the name of a measure that is less what the same dance reaches on the music of others, which is
chance."""

OF_ITEMS = (
    *("contacts_on_beats", f"contacts_on_beats{ABOVE}", "contacts_on_steps"),
    *("beat_align_fact", f"beat_align_fact{ABOVE}", "beat_align_bailando", f"beat_align_bailando{ABOVE}"),
    *("pfc", "skating_ratio"),
)
"""Measures of single dances, in the order of columns."""


class DancePlan(CorpusPlan):
    """A corpus of motion_data that is danced to."""

    task = "dance_generation"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream, the true dances' own below."""
        results = self.results(upstreams, out)
        first = next(iter(results))
        values = _values(made for seeds in results.values() for made, _ in seeds)
        truth = results[first][0][1]
        truth_values = _values([truth])[TRUTH]
        truth_scores = dance_scores(results[first][0]).truth
        on_others = by_item(truth).mean()
        blank = [math.nan] * len(SET_MEASURES)
        margins = paired_differences(values, against_others(list(values)), resamples)
        return [
            ResultTable(
                f"dance_generation: {self.root.name}",
                (
                    *(
                        "above others' music ↑" if name.endswith(ABOVE) else HEADINGS[name]
                        for name in OF_ITEMS
                    ),
                    *(HEADINGS[measure] for measure in SET_MEASURES),
                ),
                {
                    label: [*mean_estimates(values[label], resamples), *_set_estimates(runs)]
                    for label, runs in results.items()
                },
                {label: [*row, *map(Estimate, blank)] for label, row in margins.items()},
                {
                    TRUTH: [
                        *truth_values.mean().tolist(),
                        *(truth_scores[measure].value for measure in SET_MEASURES),
                    ],
                    f"{TRUTH}, each to the music of others": [
                        *(float(on_others.get(f"{name}{OTHERS_MUSIC}", math.nan)) for name in OF_ITEMS),
                        *blank,
                    ],
                },
                f"{len(by_item(results[first][0][0]))} pieces danced, means over {len(self.seeds)} seed(s); "
                f"95 % bootstrap intervals over pieces, of FID and diversity the jackknife's; the last rows "
                f"are paired differences. Above others' music: less what the same dances reach on the music "
                f"of other pieces, which is chance. The FID of the true dances is that between halves of "
                f"them.",
            )
        ]


def _values(results: Iterable[Results]) -> dict[str, pd.DataFrame]:
    """:data:`OF_ITEMS` of each dance, by upstream; means over seeds."""
    measures = list(dict.fromkeys(name.removesuffix(ABOVE) for name in OF_ITEMS))
    rows = long_form(results)
    own = group_values(rows, measures)
    on_others = group_values(rows, [f"{measure}{OTHERS_MUSIC}" for measure in measures])
    for label, table in own.items():
        for measure in measures:
            table[f"{measure}{ABOVE}"] = table[measure] - on_others[label][f"{measure}{OTHERS_MUSIC}"]
    return {label: table[list(OF_ITEMS)] for label, table in own.items()}


def _set_estimates(runs: Sequence[Sequence[Results]]) -> list[Estimate]:
    """The means over seeds of :data:`SET_MEASURES`, of the intervals' ends too."""
    scores = [dance_scores(run).generated for run in runs]
    return [
        Estimate(
            *(
                float(np.mean([getattr(one[measure], end) for one in scores]))
                for end in ("value", "low", "high")
            )
        )
        for measure in SET_MEASURES
    ]

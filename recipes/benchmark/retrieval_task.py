"""Retrieval of music and motion as one of the benchmark's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipes.benchmark.corpus_task import CorpusPlan
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.downstream.retrieval.report import CHANCE, FORMS, HARD, NO_LEARNING, NOISE
from recipes.results.record import long_form
from recipes.results.tables import (
    ResultTable,
    against_others,
    group_values,
    mean_estimates,
    paired_differences,
)

COLUMNS = {
    "music → motion R@1": f"{FORMS[0]} R@1",
    "R@10": f"{FORMS[0]} R@10",
    "motion → music R@1": f"{FORMS[1]} R@1",
    "own grids R@1": f"{FORMS[2]} R@1",
    "own motion of six": f"{HARD} R@1",
}
"""Columns of the table, and the measures in the results."""

REFERENCES = (NO_LEARNING, CHANCE, NOISE)


class RetrievalPlan(CorpusPlan):
    """A corpus of motion_data."""

    task = "retrieval"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream."""
        results = self.results(upstreams, out)
        first, *others = results
        measures = list(COLUMNS.values())
        values = group_values(long_form(of for seeds in results.values() for of, *_ in seeds), measures)
        # Without learning and by chance all upstreams and seeds are the same; noise is the first upstream's.
        beside = long_form(
            of
            for number, (_, *references) in enumerate(results[first])
            for of in references
            if number == 0 or of.run.upstream == NOISE
        )
        references = group_values(beside, measures)
        pairs = against_others([first, *others, NO_LEARNING])
        return [
            ResultTable(
                f"retrieval: {self.root.name}",
                tuple(COLUMNS),
                {label: mean_estimates(of, resamples) for label, of in values.items()},
                paired_differences({**values, NO_LEARNING: references[NO_LEARNING]}, pairs, resamples),
                {label: references[label].mean().tolist() for label in REFERENCES},
                f"{results[first][0][0].run.details['pairs']} test pairs; 95 % bootstrap intervals over "
                f"pieces; means over {len(self.seeds)} seeds; the last rows are paired differences. Noise is "
                f"{first}'s; no learning is the correlation of onsets with touch-downs, on no grid.",
            )
        ]

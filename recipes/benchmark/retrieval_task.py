"""Retrieval of music and motion as one of the benchmark's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipes.benchmark.corpus_task import CorpusPlan
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.downstream.retrieval.report import CHANCE, FORMS, HARD, NO_LEARNING, NOISE
from recipes.results.record import long_form
from recipes.results.tables import ResultTable, mean_table

COLUMNS = {
    f"{FORMS[0]} R@1": "music → motion R@1",
    f"{FORMS[0]} R@10": "R@10",
    f"{FORMS[1]} R@1": "motion → music R@1",
    f"{FORMS[2]} R@1": "own grids R@1",
    f"{HARD} R@1": "own motion of six",
}


class RetrievalPlan(CorpusPlan):
    """A corpus of motion_data."""

    task = "retrieval"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream."""
        first, *others = (choice.label for choice in upstreams)
        # Without learning and by chance all upstreams and seeds are the same; noise is the first upstream's.
        references = [
            results
            for number, (_, *others_of_run) in enumerate(self.results(upstreams[0], out))
            for results in others_of_run
            if number == 0 or results.run.upstream == NOISE
        ]
        own = self.own_results(upstreams, out)
        notes = (
            f"{own[0].run.details['pairs']} test pairs; 95 % bootstrap intervals over pieces; means over "
            f"{len(self.seeds)} seeds; the last rows are paired differences. Noise is {first}'s; no learning "
            f"is the correlation of onsets with touch-downs, on no grid."
        )
        return [
            mean_table(
                f"retrieval: {self.root.name}",
                long_form([*own, *references]),
                COLUMNS,
                notes,
                differences=[(first, other) for other in (*others, NO_LEARNING)],
                references=(NO_LEARNING, CHANCE, NOISE),
                resamples=resamples,
            )
        ]

"""Retrieval of music and motion as one of the benchmark's tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motion_data.manifest import read_corpus
from recipes.benchmark.corpus_task import CorpusPlan
from recipes.benchmark.result_table import ResultTable
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.downstream.retrieval.report import RANKS
from recipes.statistics.estimate import Estimate, mean_estimate

COLUMNS = {
    "music → motion R@1": ("music → motion, shared grid", 0),
    "R@10": ("music → motion, shared grid", 2),
    "motion → music R@1": ("motion → music, shared grid", 0),
    "own grids R@1": ("music → motion, own grids", 0),
    "own motion of six": ("own motion among its jittered and stretched copies", 0),
}
"""Columns of the table: which form of retrieval, and which of its ranks 1, 5 and 10."""

NO_LEARNING = "no learning"


class RetrievalPlan(CorpusPlan):
    """A corpus of motion_data."""

    task = "retrieval"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream."""
        pieces = {pair.name: pair.piece for pair in read_corpus(self.root).pairs}
        contents = self.scores(upstreams, out)
        values = {label: _by_piece(runs, pieces) for label, runs in contents.items()}
        first = next(iter(values))
        others = {label: of for label, of in values.items() if label != first}
        # It hears nothing but onsets, so the runs of any upstream hold it.
        others[NO_LEARNING] = _by_piece(contents[first][:1], pieces, "no_learning_hits")
        margins = {
            f"{first} − {other}": [_difference(values[first][column], of[column]) for column in COLUMNS]
            for other, of in others.items()
        }

        def estimates(row: Iterable[Mapping[str, float]]) -> list[Estimate]:
            return [mean_estimate(list(of.values()), resamples) for of in row]

        return [
            ResultTable(
                f"retrieval: {self.root.name}",
                tuple(COLUMNS),
                {label: estimates(of.values()) for label, of in values.items()},
                {label: estimates(row) for label, row in margins.items()},
                self._references(contents[first], others[NO_LEARNING]),
                f"{len(contents[first][0]['pairs'])} test pairs; 95 % bootstrap intervals over pieces; means "
                f"over {len(self.seeds)} seeds; the last rows are paired differences. Noise is {first}'s; "
                f"no learning is the correlation of onsets with touch-downs, on no grid.",
            )
        ]

    def _references(
        self, runs: Sequence[Mapping[str, Any]], no_learning: Mapping[str, Mapping[str, float]]
    ) -> dict[str, list[float]]:
        """Onsets against touch-downs, chance, and the first upstream with noise for music."""
        scores = [run["scores"] for run in runs]
        chance = [scores[0][form]["chance"][str(RANKS[rank])] for form, rank in COLUMNS.values()]
        noise = [
            float(np.mean([of[form]["noise"]["mean"] for of in scores])) if rank == 0 else float("nan")
            for form, rank in COLUMNS.values()
        ]
        without = [float(np.mean(list(no_learning[column].values()))) for column in COLUMNS]
        return {NO_LEARNING: without, "chance": chance, "noise for music": noise}


def _by_piece(
    runs: Sequence[Mapping[str, Any]], pieces: Mapping[str, str], kind: str = "hits"
) -> dict[str, dict[str, float]]:
    """For every column the mean of each piece, over its pairs and over seeds."""
    found: dict[str, dict[str, float]] = {}
    for column, (form, rank) in COLUMNS.items():
        of: dict[str, list[float]] = {}
        for run in runs:
            for name, hits in run["scores"][form][kind].items():
                of.setdefault(pieces[name], []).append(hits[rank])
        found[column] = {piece: float(np.mean(values)) for piece, values in sorted(of.items())}
    return found


def _difference(first: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {piece: first[piece] - other[piece] for piece in first if piece in other}

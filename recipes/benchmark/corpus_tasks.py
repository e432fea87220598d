"""The tasks of the benchmark on corpora of music and motion: retrieval and dance generation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from motion_data.files import file_sha256
from motion_data.manifest import read_corpus
from recipes.benchmark.plan import CommandPlan, Job
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.dance_metrics.scores import (
    ABOVE_OTHERS,
    HEADINGS,
    OTHERS_MUSIC,
    SET_MEASURES,
    TRUTH,
    dance_scores,
)
from recipes.downstream.retrieval.report import CHANCE, FORMS, HARD, NO_LEARNING, NOISE
from recipes.results.estimates import Estimate
from recipes.results.record import Results, item_table, long_form
from recipes.results.tables import ResultTable, mean_table

CORPORA = {
    "constructed": "motionbeat data prepare constructed OUT",
    "aistpp": "motionbeat data prepare aistpp FULLSET.zip OUT --audio MUSIC",
}
"""Folders in ``--data``, and how to obtain them."""

RETRIEVAL_COLUMNS = {
    f"{FORMS[0]} R@1": "music → motion R@1",
    f"{FORMS[0]} R@10": "R@10",
    f"{FORMS[1]} R@1": "motion → music R@1",
    f"{FORMS[2]} R@1": "own grids R@1",
    f"{HARD} R@1": "own motion of six",
}

DANCE_COLUMNS = {
    name: "above others' music ↑" if name.endswith(ABOVE_OTHERS) else HEADINGS[name]
    for name in (
        *("contacts_on_beats", f"contacts_on_beats{ABOVE_OTHERS}", "contacts_on_steps"),
        *("beat_align_fact", f"beat_align_fact{ABOVE_OTHERS}"),
        *("beat_align_bailando", f"beat_align_bailando{ABOVE_OTHERS}"),
        *("pfc", "skating_ratio"),
    )
}
"""Measures of single dances, and their headings; measures of the whole set follow."""


@dataclass(frozen=True)
class CorpusPlan(CommandPlan):
    """A task on a corpus of motion_data."""

    config: Path | None = None
    """Replaces the task's ``config.yaml``; its name is part of the names of the runs."""

    def folder(self, out: Path, label: str, seed: int, fold: str) -> Path:
        """Folder of a run."""
        configured = "" if self.config is None else f"-{self.config.stem}"
        return out / f"{label}{configured}-seed{seed}"

    def jobs(self, choice: UpstreamChoice, out: Path) -> list[Job]:
        """Runs of an upstream."""
        fingerprint = choice.fingerprint(read_corpus(self.root).sha256)
        config_options: list[str] = []
        if self.config is not None:
            fingerprint += f" {file_sha256(self.config)}"
            config_options = ["-c", str(self.config)]
        return [
            Job(
                self.folder(out, choice.label, seed, ""),
                fingerprint,
                [*choice.options, "-d", self.task, "--seed", str(seed), *config_options],
                [f"config.downstream_expert.datarc.root={self.root}"],
            )
            for seed in self.seeds
        ]


class RetrievalPlan(CorpusPlan):
    """Retrieval on a corpus."""

    task = "retrieval"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """One row per upstream."""
        first, *others = (choice.label for choice in upstreams)
        # The no-learning baseline and chance are equal for all upstreams and seeds; noise is the first
        # upstream's.
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
                RETRIEVAL_COLUMNS,
                notes,
                differences=[(first, other) for other in (*others, NO_LEARNING)],
                references=(NO_LEARNING, CHANCE, NOISE),
                resamples=resamples,
            )
        ]


class DancePlan(CorpusPlan):
    """Dance generation on a corpus."""

    task = "dance_generation"

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """One row per upstream, and the reference dances below."""
        runs = {choice.label: self.results(choice, out) for choice in upstreams}
        first, reference = runs[upstreams[0].label][0]
        notes = (
            f"{len(item_table(first))} pieces danced, means over {len(self.seeds)} seed(s); 95 % bootstrap "
            f"intervals over pieces, of FID and diversity the jackknife's; the last rows are paired "
            f"differences. Above others' music: less what the same dances reach on the music of other "
            f"pieces, which is chance. The FID of the true dances is that between halves of them."
        )
        rows = long_form([*self.own_results(upstreams, out), reference])
        title = f"{self.task}: {self.root.name}"
        table = mean_table(title, rows, DANCE_COLUMNS, notes, references=[TRUTH], resamples=resamples)
        reference_scores = dance_scores([first, reference]).truth
        reference_set = [reference_scores[measure].value for measure in SET_MEASURES]
        on_other_music = (
            item_table(reference).mean().reindex([f"{name}{OTHERS_MUSIC}" for name in DANCE_COLUMNS])
        )
        no_values = [math.nan] * len(SET_MEASURES)
        return [
            replace(
                table,
                measures=(*table.measures, *(HEADINGS[measure] for measure in SET_MEASURES)),
                rows={label: [*row, *_set_estimates(runs[label])] for label, row in table.rows.items()},
                margins={label: [*row, *map(Estimate, no_values)] for label, row in table.margins.items()},
                references={
                    TRUTH: [*table.references[TRUTH], *reference_set],
                    f"{TRUTH}, each to the music of others": [*on_other_music, *no_values],
                },
            )
        ]


def _set_estimates(runs: Sequence[Sequence[Results]]) -> list[Estimate]:
    """Measures of the whole set of dances: means over seeds of the values and of the ends of their
    intervals."""
    scores = [dance_scores(run).generated for run in runs]

    def mean(measure: str, end: str) -> float:
        return float(np.mean([getattr(score[measure], end) for score in scores]))

    return [
        Estimate(mean(measure, "value"), mean(measure, "low"), mean(measure, "high"))
        for measure in SET_MEASURES
    ]

"""A data set of a task, and how upstreams are tested on it: what the benchmark's tasks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from recipes.benchmark.runner import Job, run_jobs
from recipes.benchmark.upstream_choice import Upstream, UpstreamChoice
from recipes.results.record import Results, read_results, results_file
from recipes.results.tables import ResultTable


@dataclass(frozen=True)
class Plan(ABC):
    """A data set of a task, with runs for each upstream, seed and fold."""

    root: Path
    """Of the data set."""
    seeds: tuple[int, ...]

    @property
    @abstractmethod
    def name(self) -> str:
        """As the folder of its runs is called in the benchmark's."""

    @property
    def folds(self) -> Sequence[str]:
        """Folds that are tested in turn; one without a name where there are none."""
        return ("",)

    @abstractmethod
    def folder(self, out: Path, label: str, seed: int, fold: str) -> Path:
        """Of a run, in the folder of all runs."""

    @abstractmethod
    def run(self, upstream: Upstream, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """Train and test what is not there yet.

        Args:
            upstream: whose features.
            out: folder of the runs.
            cache: folder of features that are kept; None keeps none.
            overwrite: whether runs of other upstreams, data or settings may be replaced.

        Raises:
            MotionBeatError: what is wrong with data, features or weights,
                or a run of other data or weights would be replaced.
            RunFailed: a run of ``run_downstream.py`` ended with an error, which it has printed.
        """

    @abstractmethod
    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """What was reached, all of which must have been run.

        Raises:
            DataError: results that are missing, or cannot be read.
        """

    def results(self, choice: UpstreamChoice, out: Path) -> list[list[Results]]:
        """The results of an upstream's runs, fold by fold for each seed, called as tables call it.

        Raises:
            DataError: results that are missing, or cannot be read.
        """
        folders = [self.folder(out, choice.label, seed, fold) for seed in self.seeds for fold in self.folds]
        return [
            [replace(own, run=replace(own.run, upstream=choice.label)), *references]
            for own, *references in (read_results(results_file(folder)) for folder in folders)
        ]

    def own_results(self, upstreams: Iterable[UpstreamChoice], out: Path) -> list[Results]:
        """The results of several upstreams, without reference runs."""
        return [own for choice in upstreams for own, *_ in self.results(choice, out)]


class CommandPlan(Plan):
    """A data set of a task that is trained by ``run_downstream.py``; its features are not kept."""

    task: ClassVar[str]

    @property
    def name(self) -> str:
        """As the folder of its runs is called in the benchmark's."""
        return f"{self.task}-{self.root.name}"

    @abstractmethod
    def jobs(self, choice: UpstreamChoice, out: Path) -> list[Job]:
        """The runs of an upstream."""

    def run(self, upstream: Upstream, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """See :meth:`Plan.run`."""
        run_jobs(self.jobs(upstream.choice, out), overwrite=overwrite)

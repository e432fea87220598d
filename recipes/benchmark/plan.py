"""What the benchmark's tasks share: a data set, its runs for each upstream, none of them twice.

A run's folder holds two marks, ``begun`` and ``done``, each with what the run depends on: data, weights,
settings, versions. A run is complete when ``done`` says what is asked for and its results are there.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.errors import MotionBeatError
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.downstream import run_downstream
from recipes.downstream.s3prl_runner.options import NO_CACHE
from recipes.downstream.s3prl_runner.run_files import list_run_files, remove
from recipes.downstream.task_run.request import command
from recipes.results.record import Results, read_results, results_path
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
    def run(self, upstream: UpstreamChoice, out: Path, cache: Path | None, overwrite: bool = False) -> None:
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
            for own, *references in (read_results(results_path(folder)) for folder in folders)
        ]

    def own_results(self, upstreams: Iterable[UpstreamChoice], out: Path) -> list[Results]:
        """The results of several upstreams, without reference runs."""
        return [own for choice in upstreams for own, *_ in self.results(choice, out)]


class CommandPlan(Plan):
    """A data set of a task that is trained by ``run_downstream.py``."""

    task: ClassVar[str]

    @property
    def name(self) -> str:
        """As the folder of its runs is called in the benchmark's."""
        return f"{self.task}-{self.root.name}"

    @abstractmethod
    def jobs(self, choice: UpstreamChoice, out: Path) -> list[Job]:
        """The runs of an upstream."""

    def run(self, upstream: UpstreamChoice, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """See :meth:`Plan.run`."""
        run_jobs(self.jobs(upstream, out), cache, overwrite=overwrite)


class RunFailed(RuntimeError):
    """A run ended with an error, which it has printed; ``code`` is its exit code."""

    def __init__(self, folder: Path, code: int) -> None:
        super().__init__(f"{folder}: run_downstream.py ended with code {code}")
        self.code = code


@dataclass(frozen=True)
class Job:
    """A run of ``run_downstream.py``."""

    folder: Path
    made_of: str
    """What the run depends on."""
    options: Sequence[str]
    """Of ``run_downstream.py``, but for mode, folder and overrides."""
    overrides: Sequence[str]
    """``config.KEY=VALUE``."""


def run_jobs(
    jobs: Sequence[Job], cache: Path | None = None, quiet: bool = False, overwrite: bool = False
) -> None:
    """Train and test what is not done yet.

    A run that was interrupted goes on from its last checkpoint. As S3PRL resumes, its epoch begins anew.

    Args:
        jobs: the runs.
        cache: folder of features that are kept for all of them; None keeps none.
        quiet: write what the runs print to ``log.txt`` in their folders; only errors are printed.
        overwrite: whether runs that are made of something else may be replaced.

    Raises:
        MotionBeatError: a folder holds a run that is made of something else.
        RunFailed: a run ended with an error.
    """
    for number, job in enumerate(jobs, 1):

        def run(job: Job = job, number: int = number) -> None:
            print(f"run {number} of {len(jobs)}: {job.folder.name}", file=sys.stderr)
            overriding = ["-o", ",,".join(job.overrides)] if job.overrides else []
            place = ["--feature_cache", NO_CACHE if cache is None else str(cache)]
            arguments = command([str(job.folder), *job.options, *place, *overriding])
            log = job.folder / "log.txt"
            code = _run_quietly(arguments, log) if quiet else run_downstream.main(arguments)
            if code:
                raise RunFailed(job.folder, code)

        run_once(job.folder, job.made_of, run, overwrite)


def run_once(folder: Path, made_of: str, run: Callable[[], None], overwrite: bool = False) -> bool:
    """Train and test, unless that is done; returns whether anything was done.

    Args:
        folder: of the run.
        made_of: what the run depends on.
        run: trains, tests and writes the results into the folder; goes on with what it finds there.
        overwrite: whether a run that is made of something else may be replaced.

    Raises:
        MotionBeatError: the folder holds a run that is made of something else.
    """
    begun, done = folder / "begun", folder / "done"
    ended = _says(done, made_of)
    if ended and results_path(folder).is_file():
        return False
    if ended or not _says(begun, made_of):
        earlier = list_run_files(folder)
        trained = any(path.suffix == ".ckpt" or path.name.startswith("scores-test.") for path in earlier)
        if trained and not ended and not overwrite:
            raise MotionBeatError(
                f"{folder}: holds a run of other data, weights, settings or of another version; give another "
                f"OUT, or --overwrite to replace it"
            )
        done.unlink(missing_ok=True)
        remove(earlier)
        write_text(begun, made_of)
    run()
    write_text(done, made_of)
    return True


def _says(mark: Path, made_of: str) -> bool:
    return mark.is_file() and mark.read_text(encoding="utf-8") == made_of


def _run_quietly(arguments: Sequence[str], log: Path) -> int:
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        code = run_downstream.main(arguments)
    if code not in (0, 130):
        errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "error: " in line]
        print(
            f"{errors[-1] if errors else f'run_downstream.py: exit code {code}'} (see {log})", file=sys.stderr
        )
    return code

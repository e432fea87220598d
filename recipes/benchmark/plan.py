"""The base of the benchmark's tasks: a data set and its runs for each upstream, each done once.

The folder of a run contains two files, ``begun`` and ``done``, with the fingerprint of all that the run
depends on: data, weights, settings, versions. A run is complete if ``done`` has the current fingerprint and
its results exist.
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
    """Folder of the data set."""
    seeds: tuple[int, ...]

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the folder of its runs."""

    @property
    def folds(self) -> Sequence[str]:
        """Test folds; a single one with an empty name if there are none."""
        return ("",)

    @abstractmethod
    def folder(self, out: Path, label: str, seed: int, fold: str) -> Path:
        """Folder of a run."""

    @abstractmethod
    def run(self, upstream: UpstreamChoice, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """Train and test the runs that are not done.

        Args:
            upstream: upstream of the features.
            out: folder of the runs.
            cache: folder for cached features, or None.
            overwrite: whether to replace runs of other upstreams, data or settings.

        Raises:
            MotionBeatError: invalid data, features or weights, or a run of other data or weights without
                ``overwrite``.
            RunFailed: a run of ``run_downstream.py`` ended with an error, which it has printed.
        """

    @abstractmethod
    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """Tables of the results; all runs must be done.

        Raises:
            DataError: missing or invalid results.
        """

    def results(self, choice: UpstreamChoice, out: Path) -> list[list[Results]]:
        """Results of an upstream with its label, for each seed and fold; each followed by its references.

        Raises:
            DataError: missing or invalid results.
        """
        folders = [self.folder(out, choice.label, seed, fold) for seed in self.seeds for fold in self.folds]
        return [
            [replace(own, run=replace(own.run, upstream=choice.label)), *references]
            for own, *references in (read_results(results_path(folder)) for folder in folders)
        ]

    def own_results(self, upstreams: Iterable[UpstreamChoice], out: Path) -> list[Results]:
        """Results of several upstreams, without references."""
        return [own for choice in upstreams for own, *_ in self.results(choice, out)]


class CommandPlan(Plan):
    """A data set of a task that ``run_downstream.py`` trains."""

    task: ClassVar[str]

    @property
    def name(self) -> str:
        """Name of the folder of its runs."""
        return f"{self.task}-{self.root.name}"

    @abstractmethod
    def jobs(self, choice: UpstreamChoice, out: Path) -> list[Job]:
        """Runs of an upstream."""

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
    fingerprint: str
    """Identification of everything that the run depends on."""
    options: Sequence[str]
    """Options of ``run_downstream.py`` without mode, folder and overrides."""
    overrides: Sequence[str]
    """Overrides ``config.KEY=VALUE``."""


def run_jobs(
    jobs: Sequence[Job], cache: Path | None = None, quiet: bool = False, overwrite: bool = False
) -> None:
    """Train and test the runs that are not done.

    An interrupted run resumes from its last checkpoint; S3PRL restarts its epoch.

    Args:
        jobs: runs.
        cache: folder for cached features, or None.
        quiet: write the output of the runs to ``log.txt`` in their folders, and print only errors.
        overwrite: whether to replace runs with another fingerprint.

    Raises:
        MotionBeatError: a folder contains a run with another fingerprint.
        RunFailed: a run ended with an error.
    """
    for number, job in enumerate(jobs, 1):

        def run(job: Job = job, number: int = number) -> None:
            print(f"run {number} of {len(jobs)}: {job.folder.name}", file=sys.stderr)
            override_options = ["-o", ",,".join(job.overrides)] if job.overrides else []
            cache_options = ["--feature_cache", NO_CACHE if cache is None else str(cache)]
            arguments = command([str(job.folder), *job.options, *cache_options, *override_options])
            log = job.folder / "log.txt"
            code = _run_quietly(arguments, log) if quiet else run_downstream.main(arguments)
            if code:
                raise RunFailed(job.folder, code)

        run_once(job.folder, job.fingerprint, run, overwrite)


def run_once(folder: Path, fingerprint: str, run: Callable[[], None], overwrite: bool = False) -> bool:
    """Call ``run`` unless the run is done; return whether it was called.

    Args:
        folder: folder of the run.
        fingerprint: identification of everything that the run depends on.
        run: function that trains, tests and writes the results, and can resume in the folder.
        overwrite: whether to replace a run with another fingerprint.

    Raises:
        MotionBeatError: the folder contains a run with another fingerprint.
    """
    started_mark, done_mark = folder / "begun", folder / "done"
    is_done = _has_fingerprint(done_mark, fingerprint)
    if is_done and results_path(folder).is_file():
        return False
    if is_done or not _has_fingerprint(started_mark, fingerprint):
        existing_files = list_run_files(folder)
        has_results = any(
            path.suffix == ".ckpt" or path.name.startswith("scores-test.") for path in existing_files
        )
        if has_results and not is_done and not overwrite:
            raise MotionBeatError(
                f"{folder}: contains a run of other data, weights or settings, or of another version; give "
                f"another OUT, or --overwrite to replace it"
            )
        done_mark.unlink(missing_ok=True)
        remove(existing_files)
        write_text(started_mark, fingerprint)
    run()
    write_text(done_mark, fingerprint)
    return True


def _has_fingerprint(mark: Path, fingerprint: str) -> bool:
    return mark.is_file() and mark.read_text(encoding="utf-8") == fingerprint


def _run_quietly(arguments: Sequence[str], log: Path) -> int:
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        code = run_downstream.main(arguments)
    if code not in (0, 130):
        errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "error: " in line]
        print(
            f"{errors[-1] if errors else f'run_downstream.py: exit code {code}'} (see {log})", file=sys.stderr
        )
    return code

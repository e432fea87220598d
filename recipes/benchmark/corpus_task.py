"""What tasks on corpora of motion_data share: runs of ``run_downstream.py``, one an upstream and seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from motion_data.manifest import read_corpus
from motion_data.preparation import file_sha256
from recipes.benchmark.runner import results_of, run_once, run_task
from recipes.benchmark.upstream_choice import Upstream, UpstreamChoice
from recipes.results.record import Results
from recipes.results.tables import ResultTable

CORPORA = {
    "constructed": "motionbeat data prepare constructed OUT",
    "aistpp": "motionbeat data prepare aistpp FULLSET.zip OUT --audio MUSIC",
}
"""Folders of ``--data`` that are looked for, and where they come from."""


@dataclass(frozen=True)
class CorpusPlan(ABC):
    """A corpus of motion_data, and a task on it."""

    root: Path
    seeds: tuple[int, ...]
    config: Path | None = None
    """In place of the task's own ``config.yaml``; its name is part of the runs' names."""
    task: ClassVar[str]

    @property
    def name(self) -> str:
        """As folders are called."""
        return f"{self.task}-{self.root.name}"

    def run(self, upstream: Upstream, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """Train and test what is not there yet; frames are not kept.

        Raises:
            TaskError: a run of other data or weights would be replaced.
            RunFailed: a run ended with an error, which it has told.
        """
        choice = upstream.choice
        made_of = choice.made_of(read_corpus(self.root).sha256)
        chosen: list[str] = []
        if self.config is not None:
            made_of += f" {file_sha256(self.config)}"
            chosen = ["-c", str(self.config)]
        for seed in self.seeds:
            folder = self._folder(choice, out, seed)
            options = [*choice.options, "-d", self.task, "--seed", str(seed), *chosen]
            overrides = [f"config.downstream_expert.datarc.root={self.root}"]
            run = partial(run_task, folder, options, overrides, f"{self.name}: {folder.name}")
            run_once(folder, made_of, run, overwrite)

    @abstractmethod
    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream."""

    def results(self, upstreams: Sequence[UpstreamChoice], out: Path) -> dict[str, list[list[Results]]]:
        """What each upstream's runs wrote, an entry for each seed.

        Raises:
            DataError: results that are missing, or cannot be read.
        """
        return {
            choice.label: results_of((self._folder(choice, out, seed) for seed in self.seeds), choice.label)
            for choice in upstreams
        }

    def _folder(self, choice: UpstreamChoice, out: Path, seed: int) -> Path:
        configured = "" if self.config is None else f"-{self.config.stem}"
        return out / self.name / f"{choice.label}{configured}-seed{seed}"

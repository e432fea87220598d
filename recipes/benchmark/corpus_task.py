"""What tasks on corpora of motion_data share: runs of ``run_downstream.py``, one an upstream and seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from motion_data.manifest import read_corpus
from motion_data.preparation import file_sha256
from recipes.benchmark.plan import CommandPlan
from recipes.benchmark.runner import Job
from recipes.benchmark.upstream_choice import UpstreamChoice

CORPORA = {
    "constructed": "motionbeat data prepare constructed OUT",
    "aistpp": "motionbeat data prepare aistpp FULLSET.zip OUT --audio MUSIC",
}
"""Folders of ``--data`` that are looked for, and where they come from."""


@dataclass(frozen=True)
class CorpusPlan(CommandPlan):
    """A corpus of motion_data, and a task on it."""

    config: Path | None = None
    """In place of the task's own ``config.yaml``; its name is part of the runs' names."""

    def folder(self, out: Path, label: str, seed: int, fold: str) -> Path:
        """Of a run."""
        configured = "" if self.config is None else f"-{self.config.stem}"
        return out / f"{label}{configured}-seed{seed}"

    def jobs(self, choice: UpstreamChoice, out: Path) -> list[Job]:
        """The runs of an upstream."""
        made_of = choice.made_of(read_corpus(self.root).sha256)
        chosen: list[str] = []
        if self.config is not None:
            made_of += f" {file_sha256(self.config)}"
            chosen = ["-c", str(self.config)]
        return [
            Job(
                self.folder(out, choice.label, seed, ""),
                made_of,
                [*choice.options, "-d", self.task, "--seed", str(seed), *chosen],
                [f"config.downstream_expert.datarc.root={self.root}"],
            )
            for seed in self.seeds
        ]

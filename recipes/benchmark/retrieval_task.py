"""Retrieval of music and motion as one of the benchmark's tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motion_data.manifest import read_corpus
from motionbeat_upstream.version import __version__
from recipes.benchmark.runner import run_once
from recipes.benchmark.upstream_choice import Upstream, UpstreamChoice
from recipes.statistics.mean_interval import mean_interval

CORPORA = {
    "constructed": "motionbeat data prepare constructed OUT",
    "aistpp": "motionbeat data prepare aistpp FULLSET.zip OUT --audio MUSIC",
}
"""Folders of ``--data`` that are looked for, and where they come from."""

COLUMNS = {
    "music → motion R@1": ("music → motion, shared grid", 0),
    "R@10": ("music → motion, shared grid", 2),
    "motion → music R@1": ("motion → music, shared grid", 0),
    "own grids R@1": ("music → motion, own grids", 0),
    "own motion of six": ("own motion among its jittered and stretched copies", 0),
}
"""Columns of the table: which form of retrieval, and which of its ranks 1, 5 and 10."""


@dataclass(frozen=True)
class RetrievalPlan:
    """A corpus of motion_data."""

    root: Path
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """As folders are called."""
        return f"retrieval-{self.root.name}"

    def run(self, upstream: Upstream, out: Path, cache: Path | None) -> None:
        """Train and test what is not there yet; frames are not kept.

        Raises:
            RunFailed: a run ended with an error, which it has told.
        """
        choice = upstream.choice
        made_of = f"{__version__} {read_corpus(self.root).sha256} {' '.join(choice.options)} {choice.sha256}"
        for seed in self.seeds:
            folder = self._folder(choice, out, seed)
            options = [*choice.options, "-d", "retrieval", "--seed", str(seed)]
            overrides = [f"config.downstream_expert.datarc.root={self.root}"]
            run_once(folder, made_of, options, overrides, f"{self.name}: {folder.name}")

    def lines(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[str]:
        """Lines of markdown: a row an upstream, then the first one's margins over the others."""
        pieces = {pair.name: pair.piece for pair in read_corpus(self.root).pairs}
        contents = {
            choice.label: [
                json.loads((self._folder(choice, out, seed) / "scores-test.json").read_text(encoding="utf-8"))
                for seed in self.seeds
            ]
            for choice in upstreams
        }
        values = {label: _by_piece(runs, pieces) for label, runs in contents.items()}
        names = list(values)
        rows = {label: values[label] for label in names}
        rows |= {
            f"{names[0]} − {other}": {
                column: _difference(values[names[0]][column], values[other][column]) for column in COLUMNS
            }
            for other in names[1:]
        }
        lines = [
            f"## retrieval: {self.root.name}",
            "",
            f"| upstream | {' | '.join(COLUMNS)} |",
            "|---" * (len(COLUMNS) + 1) + "|",
        ]
        for number, (label, row) in enumerate(rows.items()):
            sign = "+" if number >= len(names) else ""
            cells = [_cell(np.array(list(row[column].values())), resamples, sign) for column in COLUMNS]
            lines.append(f"| {label} | {' | '.join(cells)} |")
            if number == len(names) - 1:
                lines += self._references(contents[names[0]])
        return [
            *lines,
            "",
            f"{len(contents[names[0]][0]['pairs'])} test pairs; means over {len(self.seeds)} seeds, 95 % "
            f"bootstrap intervals over pieces; the last rows are paired differences.",
            "",
        ]

    def _folder(self, choice: UpstreamChoice, out: Path, seed: int) -> Path:
        return out / self.name / f"{choice.label}-seed{seed}"

    def _references(self, runs: Sequence[Mapping[str, object]]) -> list[str]:
        """Rows of chance, and of the first upstream with noise for music."""
        scores = [run["scores"] for run in runs]
        chance, noise = [], []
        for form, rank in COLUMNS.values():
            one = scores[0][form]  # type: ignore[index]
            chance.append(f"{one['chance'][str((1, 5, 10)[rank])]:.3f}")
            blank = np.mean([of[form]["noise"]["mean"] for of in scores])  # type: ignore[index]
            noise.append(f"{blank:.3f}" if rank == 0 else "–")
        return [f"| chance | {' | '.join(chance)} |", f"| noise for music | {' | '.join(noise)} |"]


def _by_piece(
    runs: Sequence[Mapping[str, dict[str, dict[str, dict[str, list[float]]]]]], pieces: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """For every column the mean of each piece, over its pairs and over seeds."""
    found: dict[str, dict[str, float]] = {}
    for column, (form, rank) in COLUMNS.items():
        of: dict[str, list[float]] = {}
        for run in runs:
            for name, hits in run["scores"][form]["hits"].items():
                of.setdefault(pieces[name], []).append(hits[rank])
        found[column] = {piece: float(np.mean(values)) for piece, values in sorted(of.items())}
    return found


def _difference(first: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {piece: first[piece] - other[piece] for piece in first if piece in other}


def _cell(values: NDArray[np.float64], resamples: int, sign: str) -> str:
    if not len(values):
        return "–"
    interval = mean_interval(values, resamples)
    if interval is None:
        return f"{values.mean():{sign}.3f}"
    return f"{values.mean():{sign}.3f} [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]"

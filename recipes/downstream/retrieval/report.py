"""Figures of retrieval with their intervals over pieces, a JSON file with every query, a table to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream.origin import origin
from recipes.downstream.retrieval.settings import TaskSettings
from recipes.pairing.hard_retrieval import HardRetrieval, hard_retrieval
from recipes.pairing.no_learning import Correlations
from recipes.pairing.retrieval import Retrieval, retrieval
from recipes.statistics.piece_mean import PieceMean

PACKAGES = ("torch", "torchaudio", "s3prl", "numpy")

RANKS = (1, 5, 10)

NOTES = (
    "Means over pieces, 95 % bootstrap intervals over pieces in brackets. No learning is the correlation of",
    "onsets with touch-downs, on no grid, at the better of two smoothings.",
)


@dataclass(frozen=True)
class Tables:
    """What N tested pairs are to each other."""

    shared: NDArray[np.float64]
    """(N, N) of music (row) and motion, on the grid that both are shown on."""
    own_grids: NDArray[np.float64]
    """(N, N), each on its own grid."""
    hard: NDArray[np.float64]
    """(R,) of each music and its hard negatives."""
    noise_shared: NDArray[np.float64]
    """The same with noise for music."""
    noise_own_grids: NDArray[np.float64]
    noise_hard: NDArray[np.float64]
    no_learning: tuple[Correlations, ...]
    """How well onsets and touch-downs fall together, on no grid at all; the best in R@1 is the baseline."""
    owner: NDArray[np.int64]
    """(R,) whose each hard negative is."""
    kinds: list[tuple[str, float]]
    pieces: NDArray[np.int64]
    takes: NDArray[np.int64]
    groups: NDArray[np.int64]
    """(N,) of metre and tempo: candidates are of the query's own group."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """One form of retrieval in one direction."""

    recall: dict[int, PieceMean]
    chance: dict[int, float]
    noise: PieceMean
    """R@1 with noise for music: near chance, or something else than listening decides."""
    no_learning: dict[int, PieceMean]
    """Recall of onsets against touch-downs: who is not above it has learned nothing beyond."""
    median_rank: float
    pool: float
    """Candidates on average, the own one among them."""
    hits: dict[str, list[float]]
    """For every query by name: how likely the own one is among the first 1, 5 and 10; of the hard form 1."""
    no_learning_hits: dict[str, list[float]]
    """The same without learning."""


def find(tables: Tables, pool: int) -> dict[str, Found]:
    """Every form in either direction."""
    forms = {
        "shared grid": (tables.shared, tables.noise_shared),
        "own grids": (tables.own_grids, tables.noise_own_grids),
    }
    directions = {"music → motion": False, "motion → music": True}

    def retrieved(table: NDArray[np.float64], turn: bool) -> Retrieval:
        similarity = table.T if turn else table
        return retrieval(similarity, tables.pieces, tables.takes, tables.groups, pool)

    baselines = {
        direction: max(
            (retrieved(each.table.double().numpy(), turn) for each in tables.no_learning),
            key=lambda each: each.recall(1).mean,
        )
        for direction, turn in directions.items()
    }
    found: dict[str, Found] = {}
    for form, (table, blank) in forms.items():
        for direction, turn in directions.items():
            one, other = retrieved(table, turn), retrieved(blank, turn)
            baseline = baselines[direction]
            found[f"{direction}, {form}"] = Found(
                {rank: one.recall(rank) for rank in RANKS},
                {rank: one.chance(rank) for rank in RANKS},
                other.recall(1),
                {rank: baseline.recall(rank) for rank in RANKS},
                one.median_rank,
                float(one.sizes.mean()) if len(one.sizes) else float("nan"),
                _hits(one, tables.names),
                _hits(baseline, tables.names),
            )
    found["own motion among its jittered and stretched copies"] = _find_hard(tables)
    return found


def _find_hard(tables: Tables) -> Found:
    sides = [
        (np.diagonal(tables.shared), tables.hard),
        (np.diagonal(tables.noise_shared), tables.noise_hard),
        *((each.own.double().numpy(), each.hard.double().numpy()) for each in tables.no_learning),
    ]
    one, blind, *without = (
        hard_retrieval(own, hard, tables.owner, tables.kinds, tables.pieces) for own, hard in sides
    )
    baseline = max(without, key=lambda each: each.accuracy.mean)
    return Found(
        {1: one.accuracy},
        {1: one.chance},
        blind.accuracy,
        {1: baseline.accuracy},
        float("nan"),
        one.negatives + 1,
        _first(one, tables.names),
        _first(baseline, tables.names),
    )


def _hits(found: Retrieval, names: Sequence[str]) -> dict[str, list[float]]:
    hits = np.stack([found.hits(rank) for rank in RANKS], 1)
    return {names[row]: hits[place].tolist() for place, row in enumerate(found.queries)}


def _first(found: HardRetrieval, names: Sequence[str]) -> dict[str, list[float]]:
    return {
        name: [float(first)] for name, first in zip(names, found.first, strict=True) if not np.isnan(first)
    }


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, for the record."""

    split: str
    data: str
    upstream: str
    seed: int
    step: int | None
    settings: TaskSettings
    options: Mapping[str, Any]


def write_report(
    folder: Path, evaluation: Evaluation, found: Mapping[str, Found], pairs: Sequence[str]
) -> str:
    """Write ``scores-SPLIT.json`` and ``scores-SPLIT.md`` and return the latter's text."""
    content = {
        "task": "retrieval",
        **asdict(evaluation),
        "pairs": list(pairs),
        "interval": "95 %, percentile bootstrap over pieces",
        "scores": {form: asdict(one) for form, one in found.items()},
        **origin(PACKAGES),
    }
    text = _text(evaluation, found, len(pairs))
    for ending, written in (("json", json.dumps(content, indent=1, default=str) + "\n"), ("md", text)):
        with atomic_path(folder / f"scores-{evaluation.split}.{ending}") as draft:
            draft.write_text(written, encoding="utf-8")
    return text


def _text(evaluation: Evaluation, found: Mapping[str, Found], pairs: int) -> str:
    step = "" if evaluation.step is None else f", step {evaluation.step}"
    lines = [
        f"## retrieval, {evaluation.split}: {evaluation.upstream}{step}",
        "",
        f"Data: {evaluation.data}, {pairs} pairs. Seed {evaluation.seed}.",
        "",
        "| | R@1 | R@5 | R@10 | median rank | among | chance R@1 | noise for music, R@1 | no learning, R@1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for form, one in found.items():
        recalls = [_mean(one.recall[rank]) if rank in one.recall else "–" for rank in RANKS]
        rank = "–" if np.isnan(one.median_rank) else f"{one.median_rank:.0f}"
        cells = [*recalls, rank, f"{one.pool:.0f}", f"{one.chance[1]:.3f}", _mean(one.noise)]
        cells.append(_mean(one.no_learning[1]))
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *NOTES, ""])


def _mean(mean: PieceMean) -> str:
    if mean.pieces == 0:
        return "–"
    if mean.low is None or mean.high is None:
        return f"{mean.mean:.3f}"
    return f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"

"""A clip task's results: a JSON file with every item, a table to read, a figure to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream.clip_probing.clips import ClipData
from recipes.downstream.clip_probing.settings import TaskSettings
from recipes.downstream.clip_probing.targets import Target
from recipes.downstream.origin import origin
from recipes.statistics.group_bootstrap import group_interval

PACKAGES = ("torch", "torchaudio", "s3prl", "scikit-learn", "numpy")

DIGITS = 5
"""Of what was said of an item, in the JSON file."""


@dataclass(frozen=True)
class Said:
    """What a probe said of the clips of a split."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    labels: NDArray[np.float32]
    """(N,) or (N, K)."""
    said: NDArray[np.float32]
    """(N, K)."""


@dataclass(frozen=True)
class Score:
    """One figure with its 95 % interval over groups; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    """What is reached without listening."""

    def __str__(self) -> str:
        if self.value is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, for the record."""

    task: str
    split: str
    data: ClipData
    upstream: str
    seed: int
    step: int | None
    """Training steps of the evaluated weights, None where they are not known."""
    settings: TaskSettings
    options: Mapping[str, Any]
    """What else the run was told."""


def score(said: Said, target: Target, resamples: int, seed: int = 0) -> dict[str, Score]:
    """Every measure of a target with its interval, in the order of ``target.measures``."""
    values = target.scores(said.said, said.labels)
    chance = target.chance(said.labels)

    def again(items: NDArray[np.int64]) -> NDArray[np.float64]:
        return target.scores(said.said[items], said.labels[items])

    interval = group_interval(again, said.groups, resamples, seed)
    low, high = (np.full(len(values), np.nan),) * 2 if interval is None else interval
    return {
        name: Score(*(None if np.isnan(figure) else float(figure) for figure in figures))
        for name, *figures in zip(target.measures, values, low, high, chance, strict=True)
    }


def write_report(folder: Path, evaluation: Evaluation, said: Said) -> str:
    """Write ``scores-SPLIT.json`` and ``scores-SPLIT.md`` and return the latter's text."""
    data, resamples = evaluation.data, evaluation.settings.scoringrc.resamples
    scores = score(said, data.target, resamples, evaluation.seed)
    content = {
        "task": evaluation.task,
        "split": evaluation.split,
        "data": data.name,
        "grouped_by": data.grouped_by,
        "target": {"kind": type(data.target).__name__, "names": data.target.names},
        "sizes": {split: len(clips) for split, clips in data.splits.items()},
        "upstream": evaluation.upstream,
        "seed": evaluation.seed,
        "step": evaluation.step,
        "settings": asdict(evaluation.settings),
        "options": evaluation.options,
        "interval": f"95 %, percentile bootstrap over {data.grouped_by}s, {resamples} resamples, "
        f"seed {evaluation.seed}",
        "scores": {name: asdict(figure) for name, figure in scores.items()},
        "items": [
            {"name": name, "group": group, "label": label.tolist(), "said": np.round(one, DIGITS).tolist()}
            for name, group, label, one in zip(
                said.names, said.groups, said.labels, said.said.astype(float), strict=True
            )
        ],
        **origin(PACKAGES),
    }
    text = _text(evaluation, said, scores)
    for name, written in (("json", json.dumps(content, indent=1, default=str) + "\n"), ("md", text)):
        with atomic_path(folder / f"scores-{evaluation.split}.{name}") as draft:
            draft.write_text(written, encoding="utf-8")
    return text


def read_said(file: Path) -> Said:
    """What ``scores-SPLIT.json`` says of every item."""
    items = json.loads(file.read_text(encoding="utf-8"))["items"]
    return Said(
        tuple(item["name"] for item in items),
        tuple(item["group"] for item in items),
        np.array([item["label"] for item in items], dtype=np.float32),
        np.array([item["said"] for item in items], dtype=np.float32),
    )


def _text(evaluation: Evaluation, said: Said, scores: Mapping[str, Score]) -> str:
    data = evaluation.data
    step = "" if evaluation.step is None else f", step {evaluation.step}"
    sizes = ", ".join(f"{split} {len(clips)}" for split, clips in data.splits.items())
    groups = len(set(said.groups))
    lines = [
        f"## {evaluation.task}, {evaluation.split}: {evaluation.upstream}, "
        f"{evaluation.settings.modelrc.probe} probe{step}",
        "",
        f"Data: {data.name}; {sizes}. Seed {evaluation.seed}.",
        "",
        f"| | {' | '.join(scores)} |",
        "|---" * (len(scores) + 1) + "|",
        f"| {evaluation.upstream} | {' | '.join(map(str, scores.values()))} |",
        f"| without listening | {' | '.join(_number(figure.chance) for figure in scores.values())} |",
        "",
        f"{len(said.names)} clips; 95 % bootstrap intervals over {groups} {data.grouped_by}s in brackets.",
        *_undefined(scores),
        "",
    ]
    return "\n".join(lines)


def _undefined(scores: Mapping[str, Score]) -> Sequence[str]:
    missing = [name for name, figure in scores.items() if figure.value is None]
    if not missing:
        return []
    return [f"Undefined, since what is tested or said of it is the same for all clips: {', '.join(missing)}."]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

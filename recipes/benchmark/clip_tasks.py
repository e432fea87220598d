"""The clip tasks of the benchmark: each upstream's features once, then a probe for every fold and seed."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path
from recipes.benchmark.runner import results_of, run_once
from recipes.benchmark.upstream_choice import Upstream, UpstreamChoice
from recipes.downstream.checkpoints import BEST
from recipes.downstream.clip_probing.clip_expert import ClipTask
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.features import ClipFeatures, clip_features
from recipes.downstream.clip_probing.plots import plot_predictions
from recipes.downstream.clip_probing.predictions import (
    Predictions,
    compare_predictions,
    prediction_rows,
    read_predictions,
)
from recipes.downstream.clip_probing.probing import Trained, predict, train
from recipes.downstream.clip_probing.report import report
from recipes.downstream.clip_probing.settings import DataSettings, ModelSettings, TaskSettings
from recipes.downstream.encoder import Encoder
from recipes.downstream.genre.dataset import GENRE
from recipes.downstream.instrument.dataset import INSTRUMENT
from recipes.downstream.music_emotion.dataset import MUSIC_EMOTION
from recipes.downstream.options import parse
from recipes.downstream.registration import packaged_config
from recipes.downstream.request import read_config
from recipes.downstream.tagging.dataset import TAGGING
from recipes.results.record import VERSION, Results, Run, origin
from recipes.results.tables import ResultTable

CLIP_TASKS: dict[str, ClipTask] = {task.name: task for task in (TAGGING, GENRE, INSTRUMENT, MUSIC_EMOTION)}


@dataclass(frozen=True)
class ClipPlan:
    """A data set of a clip task, and how it is to be probed."""

    task: ClipTask
    layout: str
    root: Path
    model: ModelSettings
    slice_seconds: float
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """As folders are called."""
        return f"{self.task.name}-{self.layout}"

    def folds(self) -> Iterator[ClipData]:
        """The data set, once for every fold that is tested.

        Raises:
            DataError: what is missing or wrong.
        """
        for fold in range(self.task.layouts[self.layout].folds):
            yield self.task.load(str(self.root), self.layout, fold)

    def run(self, upstream: Upstream, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """Train and test the probes that are not there yet.

        Args:
            upstream: whose features.
            out: folder of all results.
            cache: folder of features that are kept; None keeps none.
            overwrite: whether probes of other upstreams, data or settings may be replaced.

        Raises:
            DataError, AudioError, TaskError: what is wrong with the data or the features.
        """
        held: dict[str, ClipFeatures] = {}
        # All folds are read first: a file that vanishes meanwhile would else be missing from some of them.
        for fold, data in enumerate(list(self.folds())):
            made_of = _made_of(self, upstream.encoder, data)
            for seed in self.seeds:
                folder = self._folder(out, upstream.choice.label, fold, seed)
                run = partial(self._probe, upstream, data, fold, seed, held, cache, folder)
                run_once(folder, made_of, run, overwrite)

    def _probe(
        self,
        upstream: Upstream,
        data: ClipData,
        fold: int,
        seed: int,
        held: dict[str, ClipFeatures],
        cache: Path | None,
        folder: Path,
    ) -> None:
        """Train a probe, keep it, and test it."""
        choice = upstream.choice
        _hold(held, upstream.encoder, data, self.slice_seconds, cache)
        features = {split: [held[clip.name] for clip in of] for split, of in data.splits.items()}
        best = train(features, data, self.model, seed)
        predictions = predict(best.probe, features["test"], data.splits["test"], data.target)
        settings = TaskSettings(
            DataSettings(str(self.root), self.layout, fold, self.slice_seconds), self.model
        )
        _write_checkpoint(folder, self.task.name, choice, seed, settings, best)
        run = Run(
            task=self.task.name,
            data=data.name,
            upstream=choice.label,
            checkpoint=choice.sha256,
            seed=seed,
            fold=str(fold),
            step=best.epochs,
            details={
                "sizes": {split: len(clips) for split, clips in data.splits.items()},
                "settings": asdict(settings),
                "options": {"learning_rate": best.learning_rate, "dev": best.dev},
                **origin(),
            },
        )
        title = f"{data.name}: {choice.label}"
        plot_predictions(folder / "said-test.png", predictions, data.target, title)
        report(folder, Results(run, prediction_rows(predictions, data.target)), data)

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream, folds pooled, seeds averaged; margins are those of the first upstream."""
        folds = list(self.folds())
        target, labels = folds[0].target, [choice.label for choice in upstreams]
        runs = [[self._pooled(out, label, seed, folds) for seed in self.seeds] for label in labels]
        rows, margins = compare_predictions(runs, target, resamples)
        first = runs[0][0]
        tested = f", {len(folds)} folds" if len(folds) > 1 else ""
        return [
            ResultTable(
                f"{self.task.name}: {self.layout}, {self.model.probe} probe{tested}",
                target.measures,
                dict(zip(labels, rows, strict=True)),
                dict(zip([f"{labels[0]} − {other}" for other in labels[1:]], margins, strict=True)),
                {"without listening": target.chance(first.labels).tolist()},
                f"{len(first.names)} test clips, {len(set(first.groups))} {folds[0].grouped_by}s, over which "
                f"the 95 % bootstrap intervals are; means over {len(self.seeds)} seeds; the last rows are "
                f"paired differences.",
            )
        ]

    def _pooled(self, out: Path, label: str, seed: int, folds: Sequence[ClipData]) -> Predictions:
        """What is predicted of all tested clips, in all folds."""
        folders = [self._folder(out, label, fold, seed) for fold in range(len(folds))]
        return read_predictions([own for (own,) in results_of(folders, label)], folds[0].target)

    def _folder(self, out: Path, label: str, fold: int, seed: int) -> Path:
        """Of one run's results."""
        return out / self.name / f"{label}-{self.model.probe}-fold{fold}-seed{seed}"


def _write_checkpoint(
    folder: Path, task: str, choice: UpstreamChoice, seed: int, settings: TaskSettings, best: Trained
) -> None:
    """Keep a probe as ``run_downstream.py`` keeps one, so that -m evaluate and -m inference take it."""
    options = ["-m", "train", "-d", task, *choice.options, "-p", str(folder), "--seed", str(seed)]
    arguments, _ = parse(options)
    arguments.upstream_layers = len(best.probe.weights)
    file = packaged_config(task)
    assert file is not None
    config: dict[str, Any] = {**read_config(file), "downstream_expert": asdict(settings)}
    arguments.config = str(file)
    state = {f"probe.{name}": value for name, value in best.probe.state_dict().items()}
    states = {
        "Downstream": {"best": torch.tensor(best.dev, dtype=torch.float64), **state},
        "Step": best.epochs,
        "Epoch": best.epochs,
        "Args": argparse.Namespace(**vars(arguments)),
        "Config": config,
    }
    with atomic_path(folder / BEST) as draft:
        torch.save(states, draft)


def _hold(
    held: dict[str, ClipFeatures], encoder: Encoder, data: ClipData, seconds: float, cache: Path | None
) -> None:
    """See that the features of all clips of a fold are at hand."""
    missing: Sequence[Clip] = [clip for of in data.splits.values() for clip in of if clip.name not in held]
    found = clip_features(encoder, missing, seconds, cache)
    held.update(zip((clip.name for clip in missing), found, strict=True))


def _made_of(plan: ClipPlan, encoder: Encoder, data: ClipData) -> str:
    """Hash of what a run depends on: the upstream, the clips with labels and files, the settings."""
    digest = hashlib.sha256(encoder.fingerprint.encode())
    digest.update(repr((VERSION, plan.model, plan.slice_seconds, data.name, data.target.names)).encode())
    for split, clips in data.splits.items():
        for clip in clips:
            try:
                stat = None if clip.file is None else clip.file.stat()
            except OSError as error:
                raise DataError(f"{clip.file}: {error.strerror}") from error
            place = None if stat is None else (stat.st_size, stat.st_mtime_ns)
            digest.update(repr((split, clip.name, clip.group, clip.label.tolist(), place)).encode())
    return digest.hexdigest()

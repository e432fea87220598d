"""The clip tasks of the benchmark: each upstream's features once, then a probe for every fold and seed."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from motion_data.errors import DataError
from motionbeat_upstream.atomic_write import atomic_path
from recipes.benchmark.plan import Plan, run_once
from recipes.benchmark.upstream_choice import UpstreamChoice
from recipes.downstream.clip_probing.clip_expert import ClipTask
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.features import ClipFeatures, clip_features
from recipes.downstream.clip_probing.predictions import (
    Predictions,
    compare_predictions,
    read_predictions,
)
from recipes.downstream.clip_probing.probing import TrainedProbe, predict, train
from recipes.downstream.clip_probing.report import report
from recipes.downstream.clip_probing.settings import DataSettings, ModelSettings, TaskSettings
from recipes.downstream.clip_probing.targets import Target
from recipes.downstream.encoder import Encoder
from recipes.downstream.genre.expert import GENRE
from recipes.downstream.instrument.expert import INSTRUMENT
from recipes.downstream.music_emotion.expert import MUSIC_EMOTION
from recipes.downstream.s3prl_runner.options import parse
from recipes.downstream.s3prl_runner.registration import packaged_config
from recipes.downstream.s3prl_runner.request import read_config
from recipes.downstream.s3prl_runner.run_files import BEST
from recipes.downstream.tagging.expert import TAGGING
from recipes.results.record import VERSION, Run, command_and_versions
from recipes.results.tables import ResultTable

CLIP_TASKS: dict[str, ClipTask] = {task.name: task for task in (TAGGING, GENRE, INSTRUMENT, MUSIC_EMOTION)}


@dataclass(frozen=True)
class ClipPlan(Plan):
    """A data set of a clip task, and how it is to be probed."""

    clip_task: ClipTask
    layout: str
    model: ModelSettings
    slice_seconds: float

    @property
    def name(self) -> str:
        """As the folder of its runs is called."""
        return f"{self.clip_task.name}-{self.layout}"

    @property
    def folds(self) -> Sequence[str]:
        """Folds that are tested in turn."""
        return [str(fold) for fold in range(self.clip_task.layouts[self.layout].folds)]

    def folder(self, out: Path, label: str, seed: int, fold: str) -> Path:
        """Of a run."""
        return out / f"{label}-{self.model.probe}-fold{fold}-seed{seed}"

    def load(self, fold: str) -> ClipData:
        """The data set with its splits for a fold.

        Raises:
            DataError: what is missing or wrong.
        """
        return self.clip_task.load(str(self.root), self.layout, int(fold))

    def run(self, upstream: UpstreamChoice, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """See :meth:`~recipes.benchmark.plan.Plan.run`."""
        held: dict[str, ClipFeatures] = {}
        # All folds are read first: a file that vanishes meanwhile would else be missing from some of them.
        for fold, data in [(fold, self.load(fold)) for fold in self.folds]:
            made_of = _made_of(self, upstream.encoder, data)
            for seed in self.seeds:
                folder = self.folder(out, upstream.label, seed, fold)
                run = partial(self._probe, folder, upstream, data, fold, seed, held, cache)
                run_once(folder, made_of, run, overwrite)

    def _probe(
        self,
        folder: Path,
        upstream: UpstreamChoice,
        data: ClipData,
        fold: str,
        seed: int,
        held: dict[str, ClipFeatures],
        cache: Path | None,
    ) -> None:
        """Train a probe, keep it, and test it."""
        _hold(held, upstream.encoder, data, self.slice_seconds, cache)
        features = {split: [held[clip.name] for clip in of] for split, of in data.splits.items()}
        best = train(features, data, self.model, seed)
        predictions = predict(best.probe, features["test"], data.splits["test"], data.target)
        settings = TaskSettings(
            DataSettings(str(self.root), self.layout, int(fold), self.slice_seconds), self.model
        )
        _write_checkpoint(folder, self.clip_task.name, upstream, seed, settings, best)
        run = Run(
            task=self.clip_task.name,
            data=data.name,
            upstream=upstream.label,
            checkpoint=upstream.sha256,
            seed=seed,
            fold=fold,
            step=best.epochs,
            details={
                "settings": asdict(settings),
                "options": {"learning_rate": best.learning_rate, "dev": best.dev},
                **command_and_versions(),
            },
        )
        report(folder, run, predictions, data)

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream, folds pooled, seeds averaged; margins are those of the first upstream."""
        data, labels = self.load("0"), [choice.label for choice in upstreams]
        runs = [self._predictions(choice, out, data.target) for choice in upstreams]
        rows, margins = compare_predictions(runs, data.target, resamples)
        first = runs[0][0]
        tested = f", {len(self.folds)} folds" if len(self.folds) > 1 else ""
        return [
            ResultTable(
                f"{self.clip_task.name}: {self.layout}, {self.model.probe} probe{tested}",
                data.target.measures,
                dict(zip(labels, rows, strict=True)),
                dict(zip([f"{labels[0]} − {other}" for other in labels[1:]], margins, strict=True)),
                {"without listening": data.target.chance(first.labels).tolist()},
                f"{len(first.names)} test clips, {len(set(first.groups))} {data.grouped_by}s, over which the "
                f"95 % bootstrap intervals are; means over {len(self.seeds)} seeds; the last rows are paired "
                f"differences.",
            )
        ]

    def _predictions(self, choice: UpstreamChoice, out: Path, target: Target) -> list[Predictions]:
        """An entry for each seed, of the tested clips of all folds."""
        runs = self.own_results([choice], out)
        return [
            read_predictions([one for one in runs if one.run.seed == seed], target) for seed in self.seeds
        ]


def _write_checkpoint(
    folder: Path, task: str, choice: UpstreamChoice, seed: int, settings: TaskSettings, best: TrainedProbe
) -> None:
    """Keep a probe as ``run_downstream.py`` keeps one, so that -m evaluate and -m inference take it."""
    options = ["-m", "train", "-d", task, *choice.options, "-p", str(folder), "--seed", str(seed)]
    arguments, *_ = parse(options)
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

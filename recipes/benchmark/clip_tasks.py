"""The clip tasks of the benchmark: features once per upstream, then a probe for each fold and seed."""

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
from recipes.downstream.clip_probing.predictions import Predictions, compare_predictions, read_predictions
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
    """A data set of a clip task, and settings of its probes."""

    clip_task: ClipTask
    layout: str
    model: ModelSettings
    slice_seconds: float

    @property
    def name(self) -> str:
        """Name of the folder of its runs."""
        return f"{self.clip_task.name}-{self.layout}"

    @property
    def folds(self) -> Sequence[str]:
        """Test folds."""
        return [str(fold) for fold in range(self.clip_task.layouts[self.layout].folds)]

    def folder(self, out: Path, label: str, seed: int, fold: str) -> Path:
        """Folder of a run."""
        return out / f"{label}-{self.model.probe}-fold{fold}-seed{seed}"

    def load(self, fold: str) -> ClipData:
        """Load the data set with its splits for a fold.

        Raises:
            DataError: missing or invalid files.
        """
        return self.clip_task.load(str(self.root), self.layout, int(fold))

    def run(self, upstream: UpstreamChoice, out: Path, cache: Path | None, overwrite: bool = False) -> None:
        """See :meth:`~recipes.benchmark.plan.Plan.run`."""
        features_by_clip: dict[str, ClipFeatures] = {}
        # All folds are read first, so that a file that is deleted meanwhile is in all of them or in none.
        for fold, data in [(fold, self.load(fold)) for fold in self.folds]:
            fingerprint = _fingerprint(self, upstream.encoder, data)
            for seed in self.seeds:
                folder = self.folder(out, upstream.label, seed, fold)
                run = partial(self._probe, folder, upstream, data, fold, seed, features_by_clip, cache)
                run_once(folder, fingerprint, run, overwrite)

    def _probe(
        self,
        folder: Path,
        upstream: UpstreamChoice,
        data: ClipData,
        fold: str,
        seed: int,
        features_by_clip: dict[str, ClipFeatures],
        cache: Path | None,
    ) -> None:
        """Train, save and test a probe."""
        _load_features(features_by_clip, upstream.encoder, data, self.slice_seconds, cache)
        features = {
            split: [features_by_clip[clip.name] for clip in clips] for split, clips in data.splits.items()
        }
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
        """One row per upstream, with pooled folds and averaged seeds; differences are those of the first
        upstream."""
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
        """Predictions for the test clips of all folds, one entry per seed."""
        runs = self.own_results([choice], out)
        return [
            read_predictions([result for result in runs if result.run.seed == seed], target)
            for seed in self.seeds
        ]


def _write_checkpoint(
    folder: Path, task: str, choice: UpstreamChoice, seed: int, settings: TaskSettings, best: TrainedProbe
) -> None:
    """Save a probe in the format of ``run_downstream.py``, for its -m evaluate and -m inference."""
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


def _load_features(
    features_by_clip: dict[str, ClipFeatures],
    encoder: Encoder,
    data: ClipData,
    seconds: float,
    cache: Path | None,
) -> None:
    """Add the missing features of all clips of a fold."""
    missing: Sequence[Clip] = [
        clip for clips in data.splits.values() for clip in clips if clip.name not in features_by_clip
    ]
    features = clip_features(encoder, missing, seconds, cache)
    features_by_clip.update(zip((clip.name for clip in missing), features, strict=True))


def _fingerprint(plan: ClipPlan, encoder: Encoder, data: ClipData) -> str:
    """Hash of everything that a run depends on: upstream, clips with labels and files, settings."""
    digest = hashlib.sha256(encoder.fingerprint.encode())
    digest.update(repr((VERSION, plan.model, plan.slice_seconds, data.name, data.target.names)).encode())
    for split, clips in data.splits.items():
        for clip in clips:
            try:
                stat = None if clip.file is None else clip.file.stat()
            except OSError as error:
                raise DataError(f"{clip.file}: {error.strerror}") from error
            file_state = None if stat is None else (stat.st_size, stat.st_mtime_ns)
            digest.update(repr((split, clip.name, clip.group, clip.label.tolist(), file_state)).encode())
    return digest.hexdigest()

"""The clip tasks of the benchmark: each upstream's features once, then a probe for every fold and seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from motion_data.errors import DataError
from recipes.benchmark.clip_table import clip_table, pooled
from recipes.benchmark.result_table import ResultTable
from recipes.benchmark.runner import refuse_other_run
from recipes.benchmark.upstream_choice import Upstream, UpstreamChoice
from recipes.downstream.clip_probing.clip_expert import ClipTask
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.features import ClipFeatures, clip_features
from recipes.downstream.clip_probing.plots import plot_said
from recipes.downstream.clip_probing.probing import say, train
from recipes.downstream.clip_probing.report import Evaluation, write_report
from recipes.downstream.clip_probing.settings import DataSettings, ModelSettings, TaskSettings
from recipes.downstream.encoder import Encoder
from recipes.downstream.genre.dataset import GENRE
from recipes.downstream.instrument.dataset import INSTRUMENT
from recipes.downstream.music_emotion.dataset import MUSIC_EMOTION
from recipes.downstream.tagging.dataset import TAGGING

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
        encoder = upstream.encoder
        held: dict[str, ClipFeatures] = {}
        # All folds are read first: a file that vanishes meanwhile would else be missing from some of them.
        for fold, data in enumerate(list(self.folds())):
            made_of = _made_of(self, encoder, data)
            for seed in self.seeds:
                folder = self._folder(out, encoder.label, fold, seed)
                if is_done(folder, made_of):
                    continue
                if (folder / "scores-test.json").exists():
                    refuse_other_run(folder, overwrite)
                _hold(held, encoder, data, self.slice_seconds, cache)
                features = {split: [held[clip.name] for clip in of] for split, of in data.splits.items()}
                best = train(features, data, self.model, seed)
                said = say(best.probe, features["test"], data.splits["test"], data.target)
                options = {"made_of": made_of, "learning_rate": best.learning_rate, "dev": best.dev}
                settings = TaskSettings(
                    DataSettings(str(self.root), self.layout, fold, self.slice_seconds), self.model
                )
                evaluation = Evaluation(
                    self.task.name, "test", data, encoder.label, seed, best.epochs, settings, options
                )
                plot_said(folder / "said-test.png", said, data.target, f"{data.name}: {encoder.label}")
                # Last, for it says that the run is whole.
                write_report(folder, evaluation, said)

    def tables(self, upstreams: Sequence[UpstreamChoice], out: Path, resamples: int) -> list[ResultTable]:
        """A row an upstream, folds pooled, seeds averaged."""
        folds = list(self.folds())
        runs = {
            choice.label: [
                pooled([self._folder(out, choice.label, fold, seed) for fold in range(len(folds))])
                for seed in self.seeds
            ]
            for choice in upstreams
        }
        tested = f", {len(folds)} folds" if len(folds) > 1 else ""
        title = f"{self.task.name}: {self.layout}, {self.model.probe} probe{tested}"
        return [clip_table(title, runs, folds[0].target, folds[0].grouped_by, resamples)]

    def _folder(self, out: Path, label: str, fold: int, seed: int) -> Path:
        """Of one run's results."""
        return out / self.name / f"{label}-{self.model.probe}-fold{fold}-seed{seed}"


def is_done(folder: Path, made_of: str) -> bool:
    """Whether a run of the same upstream, data and settings has been finished."""
    file = folder / "scores-test.json"
    if not file.is_file():
        return False
    try:
        return bool(json.loads(file.read_text(encoding="utf-8"))["options"]["made_of"] == made_of)
    except (ValueError, KeyError, TypeError):
        return False


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
    digest.update(repr((plan.model, plan.slice_seconds, data.name, data.target.names)).encode())
    for split, clips in data.splits.items():
        for clip in clips:
            try:
                stat = None if clip.file is None else clip.file.stat()
            except OSError as error:
                raise DataError(f"{clip.file}: {error.strerror}") from error
            place = None if stat is None else (stat.st_size, stat.st_mtime_ns)
            digest.update(repr((split, clip.name, clip.group, clip.label.tolist(), place)).encode())
    return digest.hexdigest()

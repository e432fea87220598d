"""Base class of the clip tasks: data, slices, probe, predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from motion_data.errors import DataError
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.clip_probing.clips import Clip, ClipData, check_data, labels, slices
from recipes.downstream.clip_probing.predictions import clip_predictions
from recipes.downstream.clip_probing.probing import ClipProbe
from recipes.downstream.clip_probing.report import report
from recipes.downstream.clip_probing.settings import TaskSettings
from recipes.downstream.clip_probing.targets import Values
from recipes.downstream.s3prl_runner.task_expert import TaskExpert, check_finite
from recipes.downstream.s3prl_runner.task_settings import read_section

Reader = Callable[[Path, int], ClipData]
"""Reads a data set from its folder, for a test fold."""


@dataclass(frozen=True)
class Layout:
    """A published data set of a task and its layout on disk."""

    read: Reader
    folds: int
    """Number of folds; 1 if the data set has its own splits."""
    about: str
    """Name, source and licence."""


@dataclass(frozen=True)
class ClipTask:
    """The definition of a clip task."""

    name: str
    layouts: Mapping[str, Layout]
    """Data sets by name; the first is the default."""
    synthetic: Callable[[], ClipData]
    """A small synthetic data set, for smoke tests."""

    def load(self, root: str | None, layout: str | None, fold: int) -> ClipData:
        """Read and check the data set, or the synthetic one without a root.

        Raises:
            DataError: missing or invalid data; the message names its source.
        """
        if root is None:
            return check_data(self.synthetic())
        layout = layout or next(iter(self.layouts))
        count = self.layouts[layout].folds
        if not 0 <= fold < count:
            raise DataError(f"{self.name}, {layout}: no test fold {fold}; expected 0 to {count - 1}")
        return check_data(self.layouts[layout].read(Path(root), fold))


Slice = tuple[int, Tensor]
"""Index of the clip in its split, and label, () or (K,) float32."""


class Slices(Dataset[list[tuple[Tensor, Slice]]]):
    """The slices of each clip: all of them, or a random one per epoch.

    Args:
        clips: clips of a split; each is an item.
        seconds: maximum length of a slice.
        draw: seed and epoch of the random slice; None for all slices.
    """

    def __init__(self, clips: Sequence[Clip], seconds: float, draw: tuple[int, int] | None = None) -> None:
        self._clips = clips
        self._seconds = seconds
        self._draw = draw

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> list[tuple[Tensor, Slice]]:
        clip = self._clips[index]
        parts = slices(clip.load(), self._seconds)
        if self._draw is not None:
            number = int(np.random.default_rng((*self._draw, index)).integers(0, len(parts)))
            parts = [parts[number]]
        label = torch.from_numpy(np.asarray(clip.label))
        # Copies, because some upstreams normalise in place.
        return [(part.clone(), (index, label)) for part in parts]


class ClipExpert(TaskExpert):
    """One prediction per clip, from frozen or fine-tuned features.

    Subclasses set ``task``. ``dev-best.ckpt`` is selected by the first measure of the target. Features are
    L·D wide, the concatenation of L layers. The option ``upstream_layers`` is L; without it the features are
    one layer.
    """

    task: ClassVar[ClipTask]
    weights_layers: ClassVar[bool] = True
    """Requests all layers; see :mod:`~recipes.downstream.s3prl_runner.checked_runner`."""
    settings: TaskSettings

    @classmethod
    def read_settings(cls, values: Mapping[str, Any]) -> TaskSettings:
        """The settings of the task; see
        :func:`~recipes.downstream.s3prl_runner.task_settings.read_section`."""
        return read_section(cls.task.name, TaskSettings, values, layouts=tuple(cls.task.layouts))

    def build(self, dim: int, rate: float) -> None:
        """See :class:`~recipes.downstream.s3prl_runner.task_expert.TaskExpert`."""
        self.task_name = self.task.name
        data = self.settings.datarc
        if data.root is None:
            print(
                f"[{self.task.name}] no datarc.root given: training on synthetic clips (a smoke test; "
                f"the scores say nothing about real music)",
                flush=True,
            )
        self.data = self.task.load(data.root, data.layout, data.test_fold or 0)
        self.target = self.data.target
        self.layers = int(self.options.get("upstream_layers", 1))
        self.probe = ClipProbe(self.layers, dim // self.layers, len(self.target.names), self.settings.modelrc)
        self.register_load_state_dict_pre_hook(_check_probe_version)  # type: ignore[no-untyped-call]
        if isinstance(self.target, Values):
            self.probe.fit_scale(labels(self.data.splits["train"]))

    def get_dataloader(self, split: str, epoch: int | None = None) -> DataLoader[Any]:
        """A random slice of every clip with an epoch, for training; otherwise all slices.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.data.splits:
            raise DataError(f"no split {split!r}; expected one of {', '.join(self.data.splits)}")
        clips = [] if epoch is None and self.is_skipped(split) else self.data.splits[split]
        draw = None if epoch is None else (self.seed, epoch)
        return self.loader(Slices(clips, self.settings.datarc.slice_seconds, draw), epoch, collate)

    def losses(self, features: Sequence[Tensor], labels: Sequence[Slice]) -> dict[str, Tensor]:
        """The loss of the target over slices; features are (T_i, L·D) each."""
        means = self._means(features)
        self.probe.observe(means)
        logits = self.probe(means)
        references = torch.stack([label for _, label in labels]).to(logits.device)
        return {"loss": self.target.loss(logits, references)}

    def collect(
        self, features: Sequence[Tensor], labels: Sequence[Slice], records: dict[str, list[Any]]
    ) -> None:
        """Append the logits and the numbers of frames of slices."""
        logits = self.probe(self._means(features))
        check_finite([logits])
        weights = [len(frames) for frames in features]
        records["parts"] += zip(labels, weights, logits.float().cpu(), strict=True)

    def evaluate(self, split: str, records: dict[str, list[Any]], logger: Any, step: int) -> list[str]:
        """Score and report whole clips."""
        if not records["parts"]:
            return []
        slices_, frames, logits = zip(*records["parts"], strict=True)
        predictions = clip_predictions(
            torch.stack(logits),
            torch.tensor(frames, dtype=torch.float32),
            torch.tensor([clip for clip, _ in slices_]),
            self.data.splits[split],
            self.target,
        )
        scores = self.target.scores(predictions.values, predictions.labels)
        names = [measure.replace(" ", "-") for measure in self.target.measures]
        self.log(logger, split, step, dict(zip(names, scores, strict=True)))
        if split == "dev" and step > 0:
            criterion = -np.inf if np.isnan(scores[0]) else float(scores[0])
            # During training dev has no report.
            return self.select_checkpoint(criterion, f"{self.target.measures[0]} {criterion:.3f}", step)
        run = self.evaluation_run(split, step, self.data.name, self.settings.datarc.test_fold)
        print(f"\n{report(self.expdir, run, predictions, self.data)}", flush=True)
        return []

    def inference(self, features: Sequence[Tensor], filenames: Sequence[str]) -> None:
        """Print the predictions of each clip, the most probable first."""
        logits = self.probe(self._means(features))
        for name, values in zip(filenames, self.target.predict(logits.cpu()).tolist(), strict=True):
            order = range(len(values)) if isinstance(self.target, Values) else np.argsort(values)[::-1][:5]
            text = ", ".join(f"{self.target.names[k]} {values[k]:.2f}" for k in order)
            print(f"[{self.task.name}] {name}: {text}")

    def _means(self, features: Sequence[Tensor]) -> Tensor:
        """(N, L, D) means of the layers over time."""
        means = torch.stack([frames.float().mean(0) for frames in features])
        return means.reshape(len(means), self.layers, -1)


def _check_probe_version(module: torch.nn.Module, state: Mapping[str, Any], prefix: str, *_: object) -> None:
    if f"{prefix}probe.normalisation.running_mean" in state:
        raise MotionBeatError(
            "the checkpoint contains the probe of an earlier version of this task; train it again"
        )


def collate(items: Sequence[Sequence[tuple[Tensor, Slice]]]) -> tuple[list[Tensor], list[Slice]]:
    """Audio and labels of the slices of clips, for S3PRL's runner."""
    wavs, labels = zip(*(pair for item in items for pair in item), strict=True)
    return list(wavs), list(labels)

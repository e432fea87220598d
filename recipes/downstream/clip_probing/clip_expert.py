"""A clip task as S3PRL's runner drives it: see ``s3prl/downstream/example/expert.py`` for the contract."""

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
from motionbeat_upstream.audio import read_audio
from recipes.downstream.checkpoints import BEST
from recipes.downstream.clip_probing.clips import Clip, ClipData, check, labels
from recipes.downstream.clip_probing.plots import plot_said
from recipes.downstream.clip_probing.probe import ClipProbe
from recipes.downstream.clip_probing.report import Evaluation, Said, write_report
from recipes.downstream.clip_probing.settings import TaskSettings
from recipes.downstream.clip_probing.slices import slices
from recipes.downstream.clip_probing.targets import Values
from recipes.downstream.kept_weights import BestOnDev, check_finite
from recipes.downstream.task_settings import read_section

Read = Callable[[Path, int], ClipData]
"""Reads a data set in a folder; of one in folds, with the fold to test on."""


@dataclass(frozen=True)
class Layout:
    """One published way in which a data set of a task lies on disk."""

    read: Read
    folds: int
    """How many folds it is tested in, in turn; 1 where it has splits of its own."""
    about: str
    """What it is, where it is obtained, under which licence."""


@dataclass(frozen=True)
class ClipTask:
    """What is a clip task's own; all else they share."""

    name: str
    layouts: Mapping[str, Layout]
    """That it reads; the first where none is named."""
    made: Callable[[], ClipData]
    """A small data set made here, which says nothing about real music."""

    def load(self, root: str | None, layout: str | None, fold: int) -> ClipData:
        """The data set, checked; the made one where there is no root.

        Raises:
            DataError: what is missing or wrong, and where the data is obtained.
        """
        if root is None:
            return check(self.made())
        layout = layout or next(iter(self.layouts))
        count = self.layouts[layout].folds
        if not 0 <= fold < count:
            raise DataError(f"{self.name}, {layout}: no test fold {fold}; there are 0 to {count - 1}")
        return check(self.layouts[layout].read(Path(root), fold))


@dataclass(frozen=True)
class Slice:
    """What is known of a slice that the upstream is given."""

    clip: int
    """Index of its clip in the split."""
    label: Tensor
    """() or (K,) float32."""


class Slices(Dataset[tuple[Tensor, Slice]]):
    """One slice of each clip, drawn anew in every epoch; or, without one, the slices of a clip together."""

    def __init__(self, clips: Sequence[Clip], seconds: float, seed: int, epoch: int) -> None:
        self._clips = clips
        self._seconds = seconds
        self._key = (seed, epoch)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> tuple[Tensor, Slice]:
        clip = self._clips[index]
        parts = slices(clip.load(), self._seconds)
        drawn = int(np.random.default_rng((*self._key, index)).integers(0, len(parts)))
        # A copy: some upstreams normalise in place.
        return parts[drawn].clone(), Slice(index, torch.from_numpy(np.asarray(clip.label)))


class AllSlices(Dataset[list[tuple[Tensor, Slice]]]):
    """Every slice of each clip, a clip an item."""

    def __init__(self, clips: Sequence[Clip], seconds: float) -> None:
        self._clips = clips
        self._seconds = seconds

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> list[tuple[Tensor, Slice]]:
        clip = self._clips[index]
        label = torch.from_numpy(np.asarray(clip.label))
        return [(part.clone(), Slice(index, label)) for part in slices(clip.load(), self._seconds)]


class ClipExpert(BestOnDev):
    """One thing said of every clip, from frozen or fine-tuned features.

    A task's ``DownstreamExpert`` is this with its own ``task``. The checkpoint ``dev-best.ckpt`` is chosen on
    dev, by the target's first measure; test is scored only where dev says that the weights are kept, so
    ``scores-test.json`` is always that of ``dev-best.ckpt``.

    Args:
        upstream_dim: D, numbers per frame.
        upstream_rate: samples at 16 kHz per frame.
        downstream_expert: the section of ``config.yaml``.
        expdir: folder for everything that is written.
        **options: the rest of ``config.yaml``, and the command line's options.

    Raises:
        TaskError, DataError, AudioError: what is wrong with the settings or the data.
    """

    task: ClassVar[ClipTask]

    @classmethod
    def read_settings(cls, values: Mapping[str, Any]) -> TaskSettings:
        """The task's settings; see :func:`~recipes.downstream.task_settings.read_section`."""
        return read_section(cls.task.name, TaskSettings, values, layouts=tuple(cls.task.layouts))

    def __init__(
        self,
        upstream_dim: int,
        upstream_rate: float,
        downstream_expert: Mapping[str, Any],
        expdir: str,
        **options: Any,
    ) -> None:
        super().__init__()
        self.settings = self.read_settings(downstream_expert)
        self.options = options
        self.expdir = Path(expdir)
        self.seed = int(options.get("seed", 0))
        data, model = self.settings.datarc, self.settings.modelrc
        if data.root is None:
            print(
                f"[{self.task.name}] no datarc.root given: training on synthetic clips (a smoke test: "
                f"figures on them say nothing about real music)",
                flush=True,
            )
        self.data = self.task.load(data.root, data.layout, data.test_fold or 0)
        self.target = self.data.target
        self.probe = ClipProbe(upstream_dim, len(self.target.names), model.probe, model.hidden, model.dropout)
        if isinstance(self.target, Values):
            self.probe.head.fit_scale(labels(self.data.splits["train"]))

    def get_dataloader(self, split: str, epoch: int | None = None) -> DataLoader[Any]:
        """A slice of every clip in ``split`` if an epoch is given, as in training; else all their slices.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.data.splits:
            raise DataError(f"no split {split!r}; there are {', '.join(self.data.splits)}")
        rules, clips = self.settings.datarc, self.data.splits[split]
        if epoch is None:
            # Weights that are not kept are not tested either.
            clips = [] if self.fell_behind and split != "dev" else clips
            return DataLoader(
                AllSlices(clips, rules.slice_seconds),
                rules.eval_batch_size,
                num_workers=rules.num_workers,
                collate_fn=collate_all,
            )
        # Imported here: a task is driven without S3PRL too, but for its distributed training.
        from s3prl.utility.data import get_ddp_sampler

        drawn = Slices(clips, rules.slice_seconds, self.seed, epoch)
        sampler = get_ddp_sampler(drawn, epoch)
        return DataLoader(
            drawn,
            rules.train_batch_size,
            shuffle=sampler is None,
            sampler=sampler,
            num_workers=rules.num_workers,
            collate_fn=collate,
        )

    def forward(
        self,
        split: str,
        features: Sequence[Tensor],
        parts: Sequence[Slice],
        records: dict[str, list[Any]],
        **kwargs: Any,
    ) -> Tensor:
        """The loss of a batch of slices in training; else the logits are put aside in ``records``.

        Args:
            split: train, dev or test.
            features: (T_i, D) each.
            parts: what the data loader gave with the audio.
            records: S3PRL's store until ``log_records``.
            **kwargs: what else S3PRL passes.

        Raises:
            TaskError: logits of an evaluation that are not finite.
        """
        logits = self.probe(torch.stack([frames.float().mean(0) for frames in features]))
        if not self.training:
            check_finite([logits])
            weights = [len(frames) for frames in features]
            records["parts"] += zip(parts, weights, logits.float().cpu(), strict=True)
            return torch.zeros(())
        self.fell_behind = False
        truth = torch.stack([part.label for part in parts]).to(logits.device)
        loss = self.target.loss(logits, truth)
        records["loss"].append(loss.item())
        return loss

    def log_records(
        self, split: str, records: dict[str, list[Any]], logger: Any, global_step: int, **kwargs: Any
    ) -> list[str]:
        """Log training, or score and report whole clips; names the checkpoint to keep, if any."""
        name = self.task.name
        if self.training:
            logger.add_scalar(f"{name}/{split}-loss", np.mean(records["loss"]), global_step=global_step)
            return []
        if not records["parts"]:
            return []
        said = self._said(split, records["parts"])
        scores = self.target.scores(said.said, said.labels)
        for measure, value in zip(self.target.measures, scores, strict=True):
            logger.add_scalar(f"{name}/{split}-{measure.replace(' ', '-')}", value, global_step=global_step)
        # S3PRL evaluates at step 0 where the command is evaluate.
        choosing = split == "dev" and global_step > 0
        if choosing:
            criterion = -np.inf if np.isnan(scores[0]) else float(scores[0])
            print(f"\n[{name}] step {global_step}: dev {self.target.measures[0]} {criterion:.3f}", flush=True)
            # Kept weights are tested next; dev itself is reported when it is asked for.
            return [BEST] if self.is_best(criterion) else []
        evaluation = Evaluation(
            name,
            split,
            self.data,
            str(self.options.get("upstream")),
            self.seed,
            global_step or None,
            self.settings,
            self.options,
        )
        text = write_report(self.expdir, evaluation, said)
        if self.settings.plots and split == "test":
            title = f"{name}, {self.data.name}: {evaluation.upstream}"
            plot_said(self.expdir / f"said-{split}.png", said, self.target, title)
        print(f"\n{text}", flush=True)
        return []

    def inference(self, features: Sequence[Tensor], filenames: Sequence[str]) -> None:
        """Print what is said of each clip, the likeliest first."""
        logits = self.probe(torch.stack([frames.float().mean(0) for frames in features]))
        for name, said in zip(filenames, self.target.said(logits.cpu()).tolist(), strict=True):
            order = range(len(said)) if isinstance(self.target, Values) else np.argsort(said)[::-1][:5]
            words = ", ".join(f"{self.target.names[k]} {said[k]:.2f}" for k in order)
            print(f"[{self.task.name}] {name}: {words}")

    def load_audio(self, path: str | Path) -> Tensor:
        """Audio for inference, of any format and rate."""
        return read_audio(path)

    def _said(self, split: str, parts: Sequence[tuple[Slice, int, Tensor]]) -> Said:
        """What is said of whole clips: the mean over their slices, by their length."""
        clips = self.data.splits[split]
        total = torch.zeros(len(clips), len(self.target.names))
        weight = torch.zeros(len(clips), 1)
        for part, frames, logits in parts:
            total[part.clip] += frames * self.target.said(logits)
            weight[part.clip] += frames
        return Said(
            tuple(clip.name for clip in clips),
            tuple(clip.group for clip in clips),
            labels(clips),
            (total / weight).numpy(),
        )


def collate(items: Sequence[tuple[Tensor, Slice]]) -> tuple[list[Tensor], list[Slice]]:
    """Audio and what is known of it, as S3PRL's runner takes them."""
    return [wav for wav, _ in items], [part for _, part in items]


def collate_all(items: Sequence[Sequence[tuple[Tensor, Slice]]]) -> tuple[list[Tensor], list[Slice]]:
    """The same, of clips with all their slices."""
    return collate([part for item in items for part in item])

"""The task retrieval: which motion belongs to a music, and which music to a motion.

The probe is trained on the train split by a contrast among the pairs of a batch and with hard negatives. It
is tested on held-out pieces and takes: on a grid that music and motion share, on own grids, and in the hard
form, the own motion among its jittered and stretched copies and another of like tempo. Beside each stand
the same with noise for music, and what the correlation of onsets with touch-downs finds without learning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from motion_data.manifest import read_corpus
from motion_data.negatives.drawing import may_be_negatives
from motion_data.pipeline.pair_cache import caches_by_split
from recipes.downstream.checkpoints import BEST
from recipes.downstream.kept_weights import BestOnDev
from recipes.downstream.retrieval.batches import PairBatch, PairBatches
from recipes.downstream.retrieval.kept import Kept, keep, lay_out
from recipes.downstream.retrieval.model import PairProbe, contrast
from recipes.downstream.retrieval.report import Evaluation, find, write_report
from recipes.downstream.retrieval.settings import read_settings
from recipes.downstream.splits import SPLITS

FPS = 50.0

NOTHING: TensorDataset = TensorDataset(torch.empty(0))
"""What is evaluated of weights that are not kept."""


class DownstreamExpert(BestOnDev):
    """Music and motion found by each other, from frozen or fine-tuned features of the music.

    ``dev-best.ckpt`` is chosen by R@1 of music → motion on a shared grid; test is scored only where dev says
    that the weights are kept, so ``scores-test.json`` is always that of ``dev-best.ckpt``.

    Args:
        upstream_dim: D, numbers per frame.
        upstream_rate: samples at 16 kHz per frame.
        downstream_expert: the section of ``config.yaml``.
        expdir: folder for everything that is written.
        **options: the rest of ``config.yaml``, and the command line's options.

    Raises:
        TaskError, DataError: what is wrong with the settings or the corpus.
    """

    read_settings = staticmethod(read_settings)

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
        self.corpus = read_corpus(Path(data.root))
        pairs = {split: self.corpus.split(split) for split in SPLITS}
        self.caches = caches_by_split(self.corpus.folder, pairs, FPS, data.memory_megabytes)
        self.probe = PairProbe(upstream_dim, model.width, model.curves, model.taps)

    def get_dataloader(self, split: str, epoch: int | None = None) -> DataLoader[Any]:
        """The batches of an epoch, as in training; or without one the same batches each time, to evaluate.

        Raises:
            DataError: there are no pairs of that split, or too few.
        """
        data, training = self.settings.datarc, epoch is not None
        if self.fell_behind and split == "test":
            return DataLoader(NOTHING)
        batches = PairBatches(
            self.corpus,
            split,
            data.pipeline(self.seed if training else 0, training),
            self.caches[split],
            epoch or 0,
            testing=not training,
            most=None if training else data.eval_clips,
        )
        return DataLoader(batches, batch_size=None)

    def forward(
        self,
        split: str,
        features: Sequence[Tensor],
        batches: Sequence[PairBatch],
        records: dict[str, list[Any]],
        **kwargs: Any,
    ) -> Tensor:
        """The loss of a batch in training; else its vectors are put aside in ``records``.

        Raises:
            TaskError: vectors of an evaluation that are not finite.
        """
        (batch,) = batches
        device = features[0].device
        clips, size = batch.clips, len(batch)
        frames, lengths = clips.frame_lengths.to(device), clips.motion_lengths.to(device)
        danced = self.probe.motion_frames(
            clips.joints.to(device), clips.pulses.to(device), clips.has_joints.to(device), lengths
        )
        motion = self.probe.vectors(danced, lengths, clips.owner_grids, music=False)
        heard = self.probe.music_frames(features[:size], frames)
        music = self.probe.vectors(heard, frames, clips.grids, music=True)
        if self.training:
            self.fell_behind = False
            may_be = torch.from_numpy(may_be_negatives(clips.pieces.tolist(), clips.takes.tolist()))
            loss = contrast(
                music,
                motion[:size],
                motion[size:],
                clips.owner[size:].to(device),
                may_be.to(device),
                self.probe.scale,
            )
            records["loss"].append(loss.item())
            return loss
        records["kept"].append(self._kept(batch, features, heard, danced, music, motion))
        return torch.zeros(())

    def log_records(
        self, split: str, records: dict[str, list[Any]], logger: Any, global_step: int, **kwargs: Any
    ) -> list[str]:
        """Log training, or find and report; names the checkpoint to keep, if any."""
        if self.training:
            logger.add_scalar(f"retrieval/{split}-loss", np.mean(records["loss"]), global_step=global_step)
            return []
        if not records["kept"]:
            return []
        tables = lay_out(records["kept"], self.probe.on_own_grids)
        found = find(tables, self.settings.scoringrc.pool)
        first = next(iter(found.values())).recall[1].mean
        logger.add_scalar(f"retrieval/{split}-R1", first, global_step=global_step)
        # S3PRL evaluates at step 0 where the command is evaluate.
        if split == "dev" and global_step > 0:
            print(f"\n[retrieval] step {global_step}: dev R@1 {first:.3f}", flush=True)
            return [BEST] if self.is_best(first) else []
        evaluation = Evaluation(
            split,
            self.corpus.folder.name,
            str(self.options.get("upstream")),
            self.seed,
            global_step or None,
            self.settings,
            self.options,
        )
        print("\n" + write_report(self.expdir, evaluation, found, tables.names), flush=True)
        return []

    def _kept(
        self,
        batch: PairBatch,
        features: Sequence[Tensor],
        heard: Tensor,
        danced: Tensor,
        music: Tensor,
        motion: Tensor,
    ) -> Kept:
        """A batch's vectors, also those of noise and on own grids."""
        size, clips = len(batch), batch.clips
        frames = clips.frame_lengths.to(heard.device)
        blank = self.probe.music_frames(features[size:], frames)
        return keep(
            batch,
            music,
            motion,
            self.probe.vectors(blank, frames, clips.grids, music=True),
            self.probe.vectors(heard, frames, batch.music_grids, music=True),
            self.probe.vectors(danced[:size], frames, clips.motion_grids, music=False),
            self.probe.vectors(blank, frames, batch.music_grids, music=True),
        )

"""The task retrieval: which motion belongs to a music, and which music to a motion.

The probe is trained on the train split by a contrast among the pairs of a batch and with hard negatives. It
is tested on held-out pieces and takes: on a grid that music and motion share, on own grids, and in the hard
form, the own motion among its jittered and stretched copies and another of like tempo. Beside each stand
the same with noise for music, and what the correlation of onsets with touch-downs finds without learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from motion_data.manifest import read_corpus
from motion_data.negatives.drawing import may_be_negatives
from motion_data.pair import SPLITS
from motion_data.pipeline.pair_cache import caches_by_split
from recipes.downstream.retrieval.batches import PairBatch, PairBatches
from recipes.downstream.retrieval.kept import keep, lay_out
from recipes.downstream.retrieval.model import PairProbe, contrast
from recipes.downstream.retrieval.report import FORMS, report, retrieval_results
from recipes.downstream.retrieval.settings import TaskSettings, read_settings
from recipes.downstream.s3prl_runner.task_expert import NO_DATA, TaskExpert
from recipes.results.tables import run_estimates

FPS = 50.0

CHOSEN_BY = f"{FORMS[0]} R@1"
"""The measure on dev that checkpoints are chosen by."""


class DownstreamExpert(TaskExpert):
    """Music and motion found by each other, from frozen or fine-tuned features of the music.

    ``dev-best.ckpt`` is chosen by R@1 of music → motion on a shared grid.
    """

    task_name = "retrieval"
    read_settings = staticmethod(read_settings)
    settings: TaskSettings

    def build(self, dim: int, rate: float) -> None:
        """See :class:`~recipes.downstream.s3prl_runner.task_expert.TaskExpert`."""
        data, model = self.settings.datarc, self.settings.modelrc
        self.corpus = read_corpus(Path(data.root))
        pairs = {split: self.corpus.split(split) for split in SPLITS}
        self.caches = caches_by_split(self.corpus.folder, pairs, FPS, data.memory_megabytes)
        self.probe = PairProbe(dim, model.width, model.curves, model.taps)

    def get_dataloader(self, split: str, epoch: int | None = None) -> DataLoader[Any]:
        """The batches of an epoch, as in training; or without one the same batches each time, to evaluate.

        Raises:
            DataError: there are no pairs of that split, or too few.
        """
        data, training = self.settings.datarc, epoch is not None
        if not training and self.is_skipped(split):
            return DataLoader(NO_DATA)
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
            MotionBeatError: vectors of an evaluation that are not finite.
        """
        (batch,) = batches
        device = features[0].device
        clips, size = batch.clips, len(batch)
        frames, lengths = clips.frame_lengths.to(device), clips.motion_lengths.to(device)
        danced = self.probe.motion_frames(
            clips.joints.to(device), clips.pulses.to(device), clips.has_joints.to(device), lengths
        )
        motion = self.probe.vectors(danced, lengths, clips.owner_grids, music=False)
        if self.training:
            heard = self.probe.music_frames(features, frames)
            music = self.probe.vectors(heard, frames, clips.grids, music=True)
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
        # The sound, and noise in its place.
        sounds = [self.probe.music_frames(part, frames) for part in (features[:size], features[size:])]
        # The probe needs no grid, so each side has none where it may not have the other's.
        kept = keep(
            batch,
            lambda is_noise, grids: self.probe.vectors(sounds[is_noise], frames, grids, music=True),
            motion,
            self.probe.vectors(danced[:size], frames, None, music=False),
        )
        records["kept"].append(kept)
        return torch.zeros(())

    def log_records(
        self, split: str, records: dict[str, list[Any]], logger: Any, global_step: int, **kwargs: Any
    ) -> list[str]:
        """Log training, or find and report; names the checkpoint to keep, if any."""
        if self.training:
            self.log(logger, split, global_step, {"loss": np.mean(records["loss"])})
            return []
        if not records["kept"]:
            return []
        tables = lay_out(records["kept"])
        run = self.evaluated(
            split, global_step, self.corpus.folder.name, details={"pairs": len(tables.names)}
        )
        piece_of = {pair.name: pair.piece for pair in self.corpus.pairs}
        results = retrieval_results(run, tables, self.settings.scoringrc.pool, piece_of)
        found = run_estimates(results[0], [CHOSEN_BY])
        first = found[CHOSEN_BY].value if found else float("nan")
        self.log(logger, split, global_step, {"R1": first})
        # S3PRL evaluates at step 0 where the command is evaluate.
        if split == "dev" and global_step > 0:
            return self.choose(first, f"R@1 {first:.3f}", global_step)
        print("\n" + report(self.expdir, results), flush=True)
        return []

"""The task retrieval: find the motion of a music, and the music of a motion.

The probe is trained with a contrastive loss over the pairs of a batch and hard negatives. It is tested on
held-out pieces and takes: on a grid shared by music and motion, on separate grids, and among hard negatives,
which are jittered and stretched copies of the own motion and another motion of similar tempo. Reference runs
replace the music by noise, or correlate onsets with touch-downs without learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from motion_data.manifest import read_corpus
from motion_data.negatives.drawing import negative_mask
from motion_data.pair import SPLITS
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.pair_cache import caches_by_split
from recipes.downstream.retrieval.batches import PairBatch, PairBatches
from recipes.downstream.retrieval.model import PairProbe, contrastive_loss
from recipes.downstream.retrieval.report import (
    FORMS,
    collect_vectors,
    report,
    retrieval_results,
    similarity_tables,
)
from recipes.downstream.retrieval.settings import TaskSettings, read_settings
from recipes.downstream.s3prl_runner.task_expert import EMPTY_DATASET, TaskExpert
from recipes.results.tables import run_estimates

FPS = 50.0

DEV_MEASURE = f"{FORMS[0]} R@1"
"""The measure on dev that selects checkpoints."""


class DownstreamExpert(TaskExpert):
    """Retrieval from frozen or fine-tuned features of the music.

    ``dev-best.ckpt`` is selected by R@1 of music → motion on a shared grid.
    """

    task_name = "retrieval"
    repeats_waveforms = False  # every epoch draws other clips
    read_settings = staticmethod(read_settings)
    settings: TaskSettings

    def build(self, dim: int, rate: float) -> None:
        """See :class:`~recipes.downstream.s3prl_runner.task_expert.TaskExpert`."""
        data = self.settings.datarc
        self.corpus = read_corpus(Path(data.root))
        pairs = {split: self.corpus.split(split) for split in SPLITS}
        self.caches = caches_by_split(self.corpus.folder, pairs, FPS, data.memory_megabytes)
        self.probe = PairProbe(dim, self.settings.modelrc)

    def get_dataloader(self, split: str, epoch: int | None = None) -> DataLoader[Any]:
        """The training batches of an epoch, or without an epoch the batches of an evaluation.

        Raises:
            DataError: too few pairs of that split.
        """
        data, training = self.settings.datarc, epoch is not None
        if not training and self.is_skipped(split):
            return DataLoader(EMPTY_DATASET)
        batches = PairBatches(
            self.corpus,
            split,
            data.pipeline(self.seed if training else 0, training),
            self.caches[split],
            epoch or 0,
            testing=not training,
            max_clips=None if training else data.eval_clips,
        )
        return DataLoader(batches, batch_size=None)

    def losses(self, features: Sequence[Tensor], labels: Sequence[PairBatch]) -> dict[str, Tensor]:
        """The contrastive loss of a batch."""
        clips, size, device = labels[0].clips, len(labels[0]), features[0].device
        frames, _, motion = self._motion(clips, device)
        music_frames = self.probe.music_frames(features, frames)
        music = self.probe.vectors(music_frames, frames, clips.grids, music=True)
        allowed = torch.from_numpy(negative_mask(clips.pieces.tolist(), clips.takes.tolist())).to(device)
        owner = clips.owner[size:].to(device)
        loss = contrastive_loss(music, motion[:size], motion[size:], owner, allowed, self.probe.scale)
        return {"loss": loss}

    def collect(
        self, features: Sequence[Tensor], labels: Sequence[PairBatch], records: dict[str, list[Any]]
    ) -> None:
        """Append the vectors of a batch."""
        (batch,) = labels
        size = len(batch)
        frames, motion_frames, motion = self._motion(batch.clips, features[0].device)
        sounds = []
        for part in (features[:size], features[size:]):  # audio and noise
            music_frames = self.probe.music_frames(part, frames)
            shared = self.probe.vectors(music_frames, frames, batch.clips.grids, music=True)
            # The probe works without a grid, which is used here instead of separate grids.
            sounds.append((shared, self.probe.vectors(music_frames, frames, None, music=True)))
        motion_own = self.probe.vectors(motion_frames[:size], frames, None, music=False)
        records["vectors"].append(collect_vectors(batch, sounds, motion, motion_own))

    def _motion(self, clips: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """(B,) frame counts, (B + R, F, W) frames of motions, and (B + R, V) vectors of them."""
        lengths = clips.motion_lengths.to(device)
        frames = self.probe.motion_frames(
            clips.joints.to(device), clips.pulses.to(device), clips.has_joints.to(device), lengths
        )
        motion = self.probe.vectors(frames, lengths, clips.owner_grids, music=False)
        return clips.frame_lengths.to(device), frames, motion

    def evaluate(self, split: str, records: dict[str, list[Any]], logger: Any, step: int) -> list[str]:
        """Score and report the pairs of a split."""
        if not records["vectors"]:
            return []
        tables = similarity_tables(records["vectors"])
        run = self.evaluation_run(split, step, self.corpus.folder.name, details={"pairs": len(tables.names)})
        piece_of = {pair.name: pair.piece for pair in self.corpus.pairs}
        results = retrieval_results(run, tables, self.settings.scoringrc.pool, piece_of)
        estimates = run_estimates(results[0], [DEV_MEASURE])
        recall = estimates[DEV_MEASURE].value if estimates else float("nan")
        self.log(logger, split, step, {"R1": recall})
        if split == "dev" and step > 0:
            return self.select_checkpoint(recall, f"R@1 {recall:.3f}", step)
        print("\n" + report(self.expdir, results), flush=True)
        return []

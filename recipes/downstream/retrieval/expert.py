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

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from motion_data.manifest import read_corpus
from motion_data.negatives.drawing import negative_mask
from motion_data.pair import SPLITS
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.pair_cache import caches_by_split
from recipes.downstream.retrieval.batches import PairBatch, PairBatches
from recipes.downstream.retrieval.model import PairProbe, contrast
from recipes.downstream.retrieval.report import FORMS, keep, lay_out, report, retrieval_results
from recipes.downstream.retrieval.settings import TaskSettings, read_settings
from recipes.downstream.s3prl_runner.task_expert import EMPTY_DATASET, TaskExpert
from recipes.results.tables import run_estimates

FPS = 50.0

CHOSEN_BY = f"{FORMS[0]} R@1"
"""The measure on dev that checkpoints are chosen by."""


class DownstreamExpert(TaskExpert):
    """Music and motion found by each other, from frozen or fine-tuned features of the music.

    ``dev-best.ckpt`` is chosen by R@1 of music → motion on a shared grid.
    """

    task_name = "retrieval"
    repeats_waveforms = False  # clips are drawn anew in every epoch
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
        """The batches of an epoch, as in training; or without one the same batches each time, to evaluate.

        Raises:
            DataError: there are no pairs of that split, or too few.
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
            most=None if training else data.eval_clips,
        )
        return DataLoader(batches, batch_size=None)

    def losses(self, features: Sequence[Tensor], labels: Sequence[PairBatch]) -> dict[str, Tensor]:
        """The contrast of a batch."""
        clips, size, device = labels[0].clips, len(labels[0]), features[0].device
        frames, _, motion = self._motion(clips, device)
        heard = self.probe.music_frames(features, frames)
        music = self.probe.vectors(heard, frames, clips.grids, music=True)
        may_be = torch.from_numpy(negative_mask(clips.pieces.tolist(), clips.takes.tolist())).to(device)
        owner = clips.owner[size:].to(device)
        loss = contrast(music, motion[:size], motion[size:], owner, may_be, self.probe.scale)
        return {"loss": loss}

    def collect(
        self, features: Sequence[Tensor], labels: Sequence[PairBatch], records: dict[str, list[Any]]
    ) -> None:
        """The vectors of a batch."""
        (batch,) = labels
        size = len(batch)
        frames, danced, motion = self._motion(batch.clips, features[0].device)
        # The sound, and noise in its place.
        heard = [self.probe.music_frames(part, frames) for part in (features[:size], features[size:])]
        # The probe needs no grid, so each side has none where it may not have the other's.
        sounds = [
            (
                self.probe.vectors(part, frames, batch.clips.grids, music=True),
                self.probe.vectors(part, frames, None, music=True),
            )
            for part in heard
        ]
        motion_own = self.probe.vectors(danced[:size], frames, None, music=False)
        records["kept"].append(keep(batch, sounds, motion, motion_own))

    def _motion(self, clips: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """(B,) frames of the music, (B + R, F, W) frames of motions, and (B + R, V) on the shared grid."""
        lengths = clips.motion_lengths.to(device)
        danced = self.probe.motion_frames(
            clips.joints.to(device), clips.pulses.to(device), clips.has_joints.to(device), lengths
        )
        motion = self.probe.vectors(danced, lengths, clips.owner_grids, music=False)
        return clips.frame_lengths.to(device), danced, motion

    def evaluate(self, split: str, records: dict[str, list[Any]], logger: Any, step: int) -> list[str]:
        """Find and report."""
        if not records["kept"]:
            return []
        tables = lay_out(records["kept"])
        run = self.evaluation_run(split, step, self.corpus.folder.name, details={"pairs": len(tables.names)})
        piece_of = {pair.name: pair.piece for pair in self.corpus.pairs}
        results = retrieval_results(run, tables, self.settings.scoringrc.pool, piece_of)
        found = run_estimates(results[0], [CHOSEN_BY])
        first = found[CHOSEN_BY].value if found else float("nan")
        self.log(logger, split, step, {"R1": first})
        if split == "dev" and step > 0:
            return self.select_checkpoint(first, f"R@1 {first:.3f}", step)
        print("\n" + report(self.expdir, results), flush=True)
        return []

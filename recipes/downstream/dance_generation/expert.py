"""The task dance_generation: dances to held-out music.

A diffusion model in the manner of EDGE is trained on slices of the train split, with features of the whole
piece as the condition. Dances to whole pieces of the test split are scored together with the true dances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from motion_data.loading import LoadedPair
from motion_data.manifest import read_corpus
from motion_data.motion_file import write_motion
from motion_data.pair import SPLITS, MotionPair
from motion_data.pipeline.pair_cache import caches_by_split
from recipes.dance_metrics.dance import Dance, with_hands
from recipes.dance_metrics.scores import dance_results, markdown
from recipes.downstream.dance_generation.body_numbers import FPS
from recipes.downstream.dance_generation.model import DanceModel
from recipes.downstream.dance_generation.rigid import fix_bone_lengths
from recipes.downstream.dance_generation.settings import TaskSettings, read_settings
from recipes.downstream.dance_generation.slices import (
    EvalPieces,
    Slices,
    TrainSlices,
    cut_slices,
    danceable_pairs,
    join,
    select_layout,
)
from recipes.downstream.dance_generation.song_dance import as_motion, features_at, generate_dance
from recipes.downstream.s3prl_runner.task_expert import EMPTY_DATASET, TaskExpert, check_finite, mean_losses
from recipes.results.record import Run, write_report

STANDARDISATION_PAIRS = 200
"""Number of pairs for mean and deviation of the body numbers."""


class DownstreamExpert(TaskExpert):
    """Dances from features of music.

    ``dev-best.ckpt`` is selected by the loss of the averaged weights on slices of dev.
    """

    task_name = "dance_generation"
    settings: TaskSettings
    rate: Tensor
    """Samples at 16 kHz per feature."""
    heard: Tensor
    """(32,) uint8 SHA-256 of the upstream's weights; zeros if it has no local ones."""

    read_settings = staticmethod(read_settings)

    def build(self, dim: int, rate: float) -> None:
        """See :class:`~recipes.downstream.s3prl_runner.task_expert.TaskExpert`."""
        # Buffers, which checkpoints contain.
        self.register_buffer("rate", torch.tensor(rate, dtype=torch.float64))
        digest = bytes.fromhex(self.upstream_sha256()) or bytes(32)
        self.register_buffer("heard", torch.tensor(list(digest), dtype=torch.uint8))
        data = self.settings.datarc
        self.corpus = read_corpus(Path(data.root))
        self.pairs: dict[str, list[MotionPair]] = {
            split: danceable_pairs(self.corpus, split, data.slice_seconds) for split in SPLITS
        }
        self.caches = caches_by_split(self.corpus.folder, self.pairs, FPS, data.memory_megabytes)
        numbers = select_layout(self.caches["train"], self.pairs["train"], data.body)
        self.model = DanceModel(numbers, dim, self.settings)

    def get_dataloader(self, split: str, epoch: int | None = None) -> DataLoader[Any]:
        """The training batches of an epoch; without an epoch slices of dev, or whole pieces of test."""
        data = self.settings.datarc
        pairs, cache, numbers = self.pairs[split], self.caches[split], self.model.numbers
        if epoch is not None:
            if not self.model.is_standardised:
                rng, first = np.random.default_rng(0), pairs[:STANDARDISATION_PAIRS]
                slices = [cut_slices(cache.load(pair), numbers, data, rng, 0)[1] for pair in first]
                self.model.standardise(join(slices).numbers)
            steps = TrainSlices(cache, pairs, numbers, data, self.seed, epoch)
            return DataLoader(steps, batch_size=None)
        pairs = pairs[: data.eval_pairs]
        if split == "dev":
            return DataLoader(TrainSlices(cache, pairs, numbers, data, 0, 0), batch_size=None)
        if self.is_skipped(split):
            return DataLoader(EMPTY_DATASET)
        return DataLoader(
            EvalPieces(cache, pairs, data.longest_seconds, data.eval_batch_size), batch_size=None
        )

    def losses(self, features: Sequence[Tensor], labels: Sequence[Slices]) -> dict[str, Tensor]:
        """The losses of a batch of slices."""
        self.model.average()  # the weights of the last step
        return self._losses(features, labels[0], None)

    def collect(
        self, features: Sequence[Tensor], labels: Sequence[Slices | LoadedPair], records: dict[str, list[Any]]
    ) -> None:
        """Append the losses of slices of dev, or the dances to pieces."""
        if isinstance(labels[0], Slices):
            generator = torch.Generator().manual_seed(len(records["losses"]))
            losses = self._losses(features, labels[0], generator)
            records["losses"].append({name: part.item() for name, part in losses.items()})
        else:
            pieces = [piece for piece in labels if isinstance(piece, LoadedPair)]
            records["dances"] += zip(pieces, self.dance(features, pieces), strict=True)

    def evaluate(self, split: str, records: dict[str, list[Any]], logger: Any, step: int) -> list[str]:
        """Select the checkpoint on dev; score and report the dances of test."""
        if records["losses"]:
            means = mean_losses(records["losses"])
            self.log(logger, split, step, means)
            return self.select_checkpoint(-means["loss"], f"loss {means['loss']:.4f}", step) if step else []
        if not records["dances"]:
            return []
        run = self.evaluation_run(split, step, self.corpus.folder.name)
        print("\n" + report(self.expdir, run, records["dances"]), flush=True)
        return []

    def dance(self, features: Sequence[Tensor], pieces: Sequence[LoadedPair]) -> list[NDArray[np.float32]]:
        """(F, 22, 3) joints for each piece, as long as its true dance."""
        device = features[0].device

        def music(begin: int, end: int) -> Tensor:
            parts = []
            for clip, piece in zip(features, pieces, strict=True):
                times = piece.motion.start + torch.arange(begin, end, dtype=torch.float64) / FPS
                parts.append(features_at(clip, self.upstream, self.rate.item(), times))
            return torch.stack(parts).float()

        longest = max(len(piece.motion.joints) for piece in pieces)
        generator = torch.Generator().manual_seed(self.seed)
        parts = list(generate_dance(self.model.to(device), music, longest, generator))
        joints = torch.cat([self.model.numbers.joints(part) for part in parts], 1).float().cpu()
        check_finite([joints])
        lengths = [len(piece.motion.joints) for piece in pieces]
        return [fix_bone_lengths(body[:length].numpy()) for body, length in zip(joints, lengths, strict=True)]

    def _losses(
        self, features: Sequence[Tensor], slices: Slices, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        music = torch.stack(
            [
                features_at(features[owner], self.upstream, self.rate.item(), times)
                for owner, times in zip(slices.owner.tolist(), slices.times, strict=True)
            ]
        )
        numbers = slices.numbers.to(music.device)
        return self.model.losses(numbers, music.float(), generator, averaged=not self.training)


PieceDance = tuple[LoadedPair, NDArray[np.float32]]
"""A piece and the (F, 22, 3) joints of the dance to it."""


def report(folder: Path, run: Run, dances: Sequence[PieceDance]) -> str:
    """Write the results, their report and ``dances-SPLIT/NAME.npz``; returns the report.

    Raises:
        DataError: fewer than two dances.
    """
    grids = sorted({piece.pair.grid for piece, _ in dances})
    beats = f"{' and '.join(grids)}, of {run.data}"
    results = dance_results(
        replace(run, details={"beats": beats, **run.details}),
        [_as_dance(piece, joints) for piece, joints in dances],
        [_as_dance(piece, piece.motion.joints) for piece, _ in dances],
    )
    text = f"{run.title()}\n\nData: {run.data}. Seed {run.seed}.\n\n{markdown(results)}"
    for piece, joints in dances:
        path = folder / f"dances-{run.split}" / f"{piece.pair.name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_motion(path, as_motion(joints, piece.motion.start), piece.grid)
    write_report(folder, results, text)
    return text


def _as_dance(piece: LoadedPair, joints: NDArray[np.float32]) -> Dance:
    start, pulses = piece.motion.start, list(piece.motion.pulses.values())
    beats = None if piece.grid is None else piece.grid.beats - start
    steps = None
    # Step times are exact only in corpora with exact grids.
    if piece.pair.grid == "exact" and any(map(len, pulses)):
        steps = np.sort(np.concatenate(pulses)) - start
    return Dance(piece.pair.name, with_hands(joints), FPS, beats, steps)

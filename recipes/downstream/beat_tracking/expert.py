"""The task beat_tracking: beats and downbeats of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from motion_data.beats_file import Beats, write_beats
from motion_data.errors import DataError
from motion_data.pipeline.beat_targets import frame_targets
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.beat_tracking.dataset import Recording, load_splits
from recipes.downstream.beat_tracking.decoding import (
    DEFAULT_THRESHOLD,
    decode_dbn,
    decode_peaks,
    select_thresholds,
)
from recipes.downstream.beat_tracking.loss import balancing_weight, shift_tolerant_bce, tolerance_frames
from recipes.downstream.beat_tracking.model import Probe
from recipes.downstream.beat_tracking.report import plot_piece, report, result_lines
from recipes.downstream.beat_tracking.scores import score_piece
from recipes.downstream.beat_tracking.settings import TaskSettings, read_settings
from recipes.downstream.beat_tracking.synthetic_clips import synthetic_splits
from recipes.downstream.beat_tracking.windows import (
    AudioCache,
    Chunk,
    Chunks,
    Crop,
    TrainCrops,
    collate,
    stitch,
)
from recipes.downstream.s3prl_runner.task_expert import TaskExpert, check_finite
from recipes.results.record import Results, Row, item_rows

SYNTHETIC = "synthetic clips (a smoke test; the scores say nothing about real music)"


class DownstreamExpert(TaskExpert):
    """Beats and downbeats from frozen or fine-tuned features.

    The checkpoint ``dev-best.ckpt`` and its thresholds of the peak picker are selected on dev.
    """

    task_name = "beat_tracking"
    settings: TaskSettings
    positive_weights: Tensor
    """(2, 1) weight of the loss on frames with a beat, and with a downbeat."""
    thresholds: Tensor
    """(2,) thresholds of the peak picker."""

    read_settings = staticmethod(read_settings)

    def build(self, dim: int, rate: float) -> None:
        """See :class:`~recipes.downstream.s3prl_runner.task_expert.TaskExpert`."""
        self.repeats_waveforms = self.settings.datarc.crop_step_seconds > 0
        self.stride = rate
        self.frame_rate = SAMPLE_RATE / rate
        self.tolerance = tolerance_frames(self.settings.lossrc.tolerance_seconds, self.frame_rate)
        self.splits = {} if self.options.get("mode") == "inference" else self._load_splits()
        megabytes = self.settings.datarc.cache_megabytes / max(len(self.splits), 1)
        self.caches = {split: AudioCache(recordings, megabytes) for split, recordings in self.splits.items()}
        self.probe = Probe(dim, self.frame_rate, self.settings.modelrc)
        # Buffers, which checkpoints contain.
        self.register_buffer("positive_weights", self._positive_weights())
        self.register_buffer(
            "thresholds", torch.tensor([DEFAULT_THRESHOLD, DEFAULT_THRESHOLD], dtype=torch.float64)
        )

    def get_dataloader(self, split: str, epoch: int | None = None) -> DataLoader[Any]:
        """Random crops with an epoch, for training; otherwise whole pieces in chunks.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.splits:
            raise DataError(f"no split {split!r}; expected one of {', '.join(self.splits)}")
        data, cache = self.settings.datarc, self.caches[split]
        if epoch is None:
            recordings = [] if self.is_skipped(split) else self.splits[split]
            chunks = Chunks(recordings, cache, data.chunk_seconds, data.overlap_seconds, self.stride)
            return self.loader(chunks, None, collate)
        crops = TrainCrops(
            self.splits[split], cache, data.crop_seconds, self.seed, epoch, data.crop_step_seconds
        )
        return self.loader(crops, epoch, collate)

    def losses(self, features: Sequence[Tensor], labels: Sequence[Crop]) -> dict[str, Tensor]:
        """The mean loss over crops."""
        losses = [
            self.loss(clip, beats, downbeats_known)
            for clip, (beats, downbeats_known) in zip(self.probe(features), labels, strict=True)
        ]
        return {"loss": torch.stack(losses).mean()}

    def collect(
        self, features: Sequence[Tensor], labels: Sequence[Chunk], records: dict[str, list[Any]]
    ) -> None:
        """Append the logits of every chunk."""
        logits = self.probe(features)
        check_finite(logits)
        records["chunks"] += zip(labels, (clip.float().cpu() for clip in logits), strict=True)

    def evaluate(self, split: str, records: dict[str, list[Any]], logger: Any, step: int) -> list[str]:
        """Decode, score and report whole pieces."""
        logits = stitch(records["chunks"])
        if not logits:
            return []
        evaluated = [(self.splits[split][index], frames) for index, frames in logits.items()]
        if split == "dev":
            beats = [recording.beats for recording, _ in evaluated]
            thresholds = select_thresholds(list(logits.values()), beats, self.frame_rate)
            self.thresholds.copy_(torch.tensor(thresholds))
        device = self.positive_weights.device
        losses = [
            self.loss(frames.to(device), recording.beats, recording.beats.downbeats_known).item()
            for recording, frames in evaluated
        ]
        loss = float(np.mean(losses))
        rows = self._score(split, evaluated)
        decoder = self.settings.decodingrc.decoders[0]
        beat_f = float(np.mean([value for *_, name, value in rows if name == f"{decoder} beat F"]))
        self.log(logger, split, step, {"loss": loss, "beat-F": beat_f})
        checkpoints: list[str] = []
        if split == "dev" and step > 0:
            criterion = -loss if self.settings.scoringrc.select_by == "loss" else beat_f
            checkpoints = self.select_checkpoint(criterion, f"loss {loss:.4f}, beat F {beat_f:.3f}", step)
            if not checkpoints:
                return []
        data = self.settings.datarc
        details = {
            "sizes": {name: len(recordings) for name, recordings in self.splits.items()},
            "thresholds": self.thresholds.tolist(),
            "loss": loss,
        }
        run = self.evaluation_run(split, step, data.root or SYNTHETIC, data.test_fold, details)
        text = report(self.expdir, Results(run, rows))
        if step == 0:
            print(f"\n{text}", flush=True)
        return checkpoints

    def result_lines(self) -> list[str]:
        """Step, criterion, test scores and folder."""
        if self.settings.scoringrc.select_by == "loss":
            criterion = f"lowest dev loss, {-self.best.item():.4f}"
        else:
            criterion = f"highest dev beat F, {self.best.item():.3f}"
        return result_lines(self.expdir, criterion)

    def inference(self, features: Sequence[Tensor], filenames: Sequence[str]) -> None:
        """Write ``expdir/NAME.beats`` for each clip."""
        for logits, name in zip(self.probe(features), filenames, strict=True):
            beats = self.decode(logits.float().cpu(), self.settings.decodingrc.decoders[0])
            path = self.expdir / f"{name}.beats"
            write_beats(path, beats)
            print(
                f"[beat_tracking] {len(beats.times)} beats, {len(beats.downbeats)} of them downbeats: {path}"
            )

    def loss(self, logits: Tensor, beats: Beats, downbeats_known: bool) -> Tensor:
        """The loss of (T, 2) logits; a scalar."""
        targets = torch.stack(
            [frame_targets(times, len(logits), self.frame_rate) for times in (beats.times, beats.downbeats)]
        )
        known = torch.tensor([[True], [downbeats_known]])
        device = logits.device
        return shift_tolerant_bce(
            logits.float().T, targets.to(device), self.tolerance, self.positive_weights, known.to(device)
        )

    def decode(self, logits: Tensor, decoder: str) -> Beats:
        """Beats from the (T, 2) logits of a piece on the CPU."""
        if decoder == "peaks":
            return decode_peaks(logits, self.thresholds.tolist(), self.frame_rate)
        settings = self.settings.decodingrc
        logits = logits - settings.unbalance * self.positive_weights.cpu().log().T
        return decode_dbn(logits, settings.metres, settings.min_bpm, settings.max_bpm, self.frame_rate)

    def _load_splits(self) -> dict[str, list[Recording]]:
        data = self.settings.datarc
        if data.root is None:
            print(
                f"[beat_tracking] no datarc.root given: training on {SYNTHETIC}; for real songs see "
                f"python -m recipes.benchmark first -h",
                flush=True,
            )
            return synthetic_splits()
        return load_splits(data.root, data.split_ratios, data.split_seed, data.test_fold)

    def _positive_weights(self) -> Tensor:
        weight = self.settings.lossrc.positive_weight
        if not isinstance(weight, str):
            return torch.full((2, 1), weight)
        train = self.splits.get("train", [])
        counts = (
            [(recording.seconds, len(recording.beats.times)) for recording in train],
            [(r.seconds, len(r.beats.downbeats)) for r in train if r.beats.downbeats_known],
        )
        return torch.tensor([[balancing_weight(count, self.frame_rate, self.tolerance)] for count in counts])

    def _score(self, split: str, evaluated: Sequence[tuple[Recording, Tensor]]) -> list[Row]:
        """Scores of every recording with each decoder; plots test pieces if requested."""
        rows: list[Row] = []
        settings = self.settings
        for recording, logits in evaluated:
            for decoder in settings.decodingrc.decoders:
                estimated = self.decode(logits, decoder)
                scores = score_piece(recording.beats, estimated, settings.scoringrc.trim_seconds)
                measures = {f"{decoder} {name}": value for name, value in scores.items()}
                rows += item_rows(recording.name, recording.piece, measures)
                if settings.plots and split == "test" and decoder == settings.decodingrc.decoders[0]:
                    path = self.expdir / "plots" / f"{recording.name}.png"
                    title = f"{recording.name}: {decoder}"
                    plot_piece(path, logits, self.frame_rate, recording.beats, estimated, scores, title)
        return rows

"""What a training step is given: clips with their motions laid out, and the targets of the heads."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from fairseq2.device import SupportsDeviceTransfer
from torch import Tensor

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.nn.grid import Grid
from recipes.pairing.motion_rows import MotionRows, motion_rows, shared_grids
from recipes.pretrain.criterion.beat_losses import BeatTargets, beat_targets, spread


@dataclass
class PretrainBatch(SupportsDeviceTransfer):
    """B clips and R motions, the first B of them the clips' own; mutable, as fairseq2 moves it in place."""

    wav: Tensor
    """(B, T) float32 at 16 kHz."""
    wav_lengths: Tensor
    """(B,) int64 samples."""
    frame_lengths: Tensor
    """(B,) int64 frames of 20 ms."""
    grids: tuple[Grid, ...]
    """(B,) the grid of each clip, with an error that music, motion and negatives share."""
    rows: MotionRows
    contact_target: Tensor
    """(B, F) contact pulses of the clips' own motions, spread, in [0, 1]."""
    beats: BeatTargets
    """Beats, bars and tempo of the pairs' own grids."""
    pieces: Tensor
    """(B,) int64."""
    takes: Tensor
    """(B,) int64."""
    names: tuple[str, ...]
    """(B,) names of the pairs."""
    starts: tuple[float, ...]
    """(B,) seconds of the pair at which each clip begins."""

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> None:
        """Move every tensor, in place."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                setattr(self, field.name, value.to(device, non_blocking=non_blocking))
        for field in fields(self.beats):
            value = getattr(self.beats, field.name).to(device, non_blocking=non_blocking)
            setattr(self.beats, field.name, value)
        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=non_blocking)
            for field in fields(self.rows)
            if isinstance(value := getattr(self.rows, field.name), Tensor)
        }
        self.rows = replace(self.rows, **moved)


def pretrain_batch(
    batch: Batch, place: float, rng: np.random.Generator, rolled: bool = False
) -> PretrainBatch:
    """Lay out a batch of the pipeline.

    Args:
        batch: on the CPU, with negatives or without.
        place: share of a bar at which every clip begins on the grid that it is shown on.
        rng: of what else is left to chance, such as fractions of a frame.
        rolled: give each clip its motion rolled at random, the control of section 7 of the design [O].
    """
    rows = motion_rows(batch, place, rng, rolled)
    size = len(batch)
    frames = batch.feature_lengths
    return PretrainBatch(
        wav=batch.wav,
        wav_lengths=batch.wav_lengths,
        frame_lengths=frames,
        grids=shared_grids(batch, place),
        rows=rows,
        contact_target=spread(rows.pulses[:size].amax(-1)),
        beats=beat_targets(batch.grids, frames.tolist()),
        pieces=batch.pieces,
        takes=batch.takes,
        names=batch.names,
        starts=tuple(batch.starts.tolist()),
    )

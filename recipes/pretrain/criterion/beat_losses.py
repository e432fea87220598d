"""Losses of the beat heads: beats, downbeats, position in the bar, metre and tempo of a pair's own grid [O].

The beat loss is either a cross-entropy against targets that reach over their neighbours, or the
shift-tolerant one of Foscarin, Schlüter and Widmer, "Beat this! Accurate beat tracking without DBN
postprocessing" (ISMIR 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pydantic.dataclasses
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from motion_data.settings import CONFIG, NotNegative
from motionbeat_upstream.nn.beat_heads import METRES, TEMPO_CLASSES, BeatLogits, tempo_class
from motionbeat_upstream.nn.grid import Grid
from motionbeat_upstream.nn.motion_tower import RATE
from recipes.downstream.beat_tracking.loss import frame_targets, shift_tolerant_bce

SPREAD = (0.1353, 0.6065, 1.0, 0.6065, 0.1353)
"""A pulse of a target reaches over its neighbours, a Gaussian of one frame (20 ms): nobody dances or
annotates to the frame, and a head that is off by one should be told that it is near [O]."""

CERTAIN = 0.9
"""Confidence of a grid from which on its beats, or its bars, are trained on: an estimate that may be wrong
would only teach the heads what estimated it."""

TOLERANCE = 3
"""Frames of 20 ms that the shift-tolerant loss allows."""


@pydantic.dataclasses.dataclass(config=CONFIG, frozen=True, kw_only=True)
class BeatHeadSettings:
    """Weights of the beat heads' losses; a weight of 0 removes a loss."""

    beat: NotNegative = 1.0
    downbeat: NotNegative = 1.0
    position: NotNegative = 0.1
    metre: NotNegative = 0.1
    tempo: NotNegative = 0.1
    loss: Literal["widened", "shift_tolerant"] = "widened"
    """Of beats and downbeats."""
    positive_weight: NotNegative = 1.0
    """Factor on frames with a beat or a downbeat in the shift-tolerant loss."""

    def weights(self) -> dict[str, float]:
        """The weight of each head's loss."""
        return {name: getattr(self, name) for name in ("beat", "downbeat", "position", "metre", "tempo")}


@dataclass
class BeatTargets:
    """Targets of B clips of up to F frames at 50 Hz; mutable, as fairseq2 moves batches in place."""

    beat: Tensor
    """(B, F) 1 in the frames that hold a beat, else 0."""
    downbeat: Tensor
    """(B, F) the same for downbeats."""
    position: Tensor
    """(B, F) int64 position in the bar, from 1, of the last beat before a frame's centre; 0 if unknown."""
    metre: Tensor
    """(B,) int64 beats a bar; 0 where unknown."""
    tempo: Tensor
    """(B, F) float32 beats per minute; 0 where unknown."""
    has_beats: Tensor
    """(B,) bool, whether a clip's beats are known."""

    @property
    def has_bars(self) -> Tensor:
        """(B,) bool, whether a clip's bars are known."""
        return self.metre > 0


def beat_targets(grids: Sequence[Grid | None], lengths: Sequence[int]) -> BeatTargets:
    """Targets from grids.

    Args:
        grids: of each clip, None where its beats are unknown, as they are where its ``confidence`` is below
            ``CERTAIN``; so are bars by its ``downbeat_confidence``.
        lengths: frames of each clip.
    """
    size = max(lengths)
    targets = BeatTargets(
        beat=torch.zeros(len(grids), size),
        downbeat=torch.zeros(len(grids), size),
        position=torch.zeros(len(grids), size, dtype=torch.int64),
        metre=torch.zeros(len(grids), dtype=torch.int64),
        tempo=torch.zeros(len(grids), size),
        has_beats=torch.tensor([grid is not None and grid.confidence >= CERTAIN for grid in grids]),
    )
    for row, (grid, length) in enumerate(zip(grids, lengths, strict=True)):
        if grid is None or grid.confidence < CERTAIN:
            continue
        targets.beat[row, :length] = frame_targets(_inside(grid.beats, length), length, RATE)
        centre = (np.arange(length) + 0.5) / RATE
        last = np.searchsorted(grid.beats, centre, side="right") - 1
        between = (last >= 0) & (last < len(grid.beats) - 1)
        bpm = 60.0 / np.diff(grid.beats)[np.clip(last, 0, len(grid.beats) - 2)]
        targets.tempo[row, :length] = torch.from_numpy(np.where(between, bpm, 0.0))
        if grid.downbeat_confidence >= CERTAIN:
            targets.metre[row] = grid.metre
            targets.downbeat[row, :length] = frame_targets(_inside(grid.downbeats, length), length, RATE)
            position = np.where(last >= 0, grid.positions[np.clip(last, 0, None)], 0)
            targets.position[row, :length] = torch.from_numpy(position)
    return targets


def beat_head_losses(
    logits: BeatLogits, targets: BeatTargets, mask: Tensor, settings: BeatHeadSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the losses, and each loss by the name of its head.

    Args:
        logits: of the heads.
        targets: of the same clips.
        mask: (B, F) true within a clip.
        settings: weights; losses without a weight are not computed.
    """
    with_beats, with_bars = mask & targets.has_beats[:, None], mask & targets.has_bars[:, None]
    position = targets.position - 1
    metres = torch.tensor(METRES, device=mask.device)
    metre = (targets.metre[:, None] == metres).int().argmax(1)[:, None].expand(mask.shape)
    known_metre = (targets.metre[:, None] == metres).any(1)[:, None]
    losses = {
        "beat": lambda: _pulse_loss(logits.beat, targets.beat, with_beats, settings),
        "downbeat": lambda: _pulse_loss(logits.downbeat, targets.downbeat, with_bars, settings),
        "position": lambda: _class_loss(
            logits.position, position, with_bars & (position >= 0) & (position < logits.position.shape[-1])
        ),
        "metre": lambda: _class_loss(logits.metre, metre, with_bars & known_metre),
        "tempo": lambda: tempo_loss(logits.tempo, targets.tempo, with_beats & (targets.tempo > 0)),
    }
    total = logits.beat.new_zeros(())
    parts: dict[str, Tensor] = {}
    with torch.autocast(mask.device.type, enabled=False):
        for name, weight in settings.weights().items():
            if weight:
                parts[name] = losses[name]()
                total = total + weight * parts[name]
    return total, parts


def tempo_loss(logits: Tensor, bpm: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of (B, F, C) tempo logits, the mean over the frames of ``mask``.

    A tempo between two classes is shared between them, so that the target's mean is the tempo.
    """
    place = tempo_class(bpm.clamp(min=1.0))
    lower = place.floor().clamp(max=TEMPO_CLASSES - 2).long()
    share = place - lower
    logs = logits.log_softmax(-1)
    early, late = (logs.gather(-1, (lower + step)[..., None])[..., 0] for step in (0, 1))
    return _mean(-(1 - share) * early - share * late, mask)


def spread(pulses: Tensor) -> Tensor:
    """(B, F) pulses in [0, 1], each reaching over its neighbours; at most 1."""
    kernel = pulses.new_tensor(SPREAD)
    return F.conv1d(pulses[:, None], kernel[None, None], padding=len(SPREAD) // 2)[:, 0].clamp(max=1)


def _pulse_loss(logits: Tensor, targets: Tensor, mask: Tensor, settings: BeatHeadSettings) -> Tensor:
    if settings.loss == "widened":
        loss = F.binary_cross_entropy_with_logits(logits, spread(targets), reduction="none")
        return _mean(loss, mask)
    # Logits beyond a clip must not be the maximum near its end.
    logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min / 4)
    inside = F.max_pool1d((~mask).float()[:, None], 4 * TOLERANCE + 1, 1, 2 * TOLERANCE)[:, 0] == 0
    return shift_tolerant_bce(logits, targets, TOLERANCE, settings.positive_weight, inside)


def _class_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    loss = F.cross_entropy(
        logits.flatten(0, 1), target.clamp(0, logits.shape[-1] - 1).flatten(), reduction="none"
    )
    return _mean(loss.view(mask.shape), mask)


def _mean(loss: Tensor, mask: Tensor) -> Tensor:
    """Over the frames of ``mask``; 0 where there are none."""
    mean: Tensor = (loss * mask).sum() / mask.sum().clamp(min=1)
    return mean


def _inside(times: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    inside: NDArray[np.float64] = times[(times >= 0) & (times < frames / RATE)]
    return inside

"""Losses of the beat heads: beat, downbeat, position in the bar, metre and tempo of a pair's grid [O].

The beat loss is either a cross-entropy against widened targets, or the shift-tolerant loss of Foscarin,
Schlüter and Widmer, "Beat this! Accurate beat tracking without DBN postprocessing" (ISMIR 2024).
"""

from __future__ import annotations

from typing import Literal

import pydantic.dataclasses
import torch
from torch import Tensor
from torch.nn import functional as F

from motion_data.pipeline.beat_targets import BeatTargets, spread_pulses
from motion_data.settings import CONFIG, NotNegative
from motionbeat_upstream.nn.music_tower import BeatLogits
from motionbeat_upstream.tracking.grid import METRES
from motionbeat_upstream.tracking.tempo import TEMPO_CLASSES, tempo_class
from recipes.downstream.beat_tracking.loss import shift_tolerant_bce

TOLERANCE_FRAMES = 3
"""Tolerance of the shift-tolerant loss, in frames of 20 ms."""


@pydantic.dataclasses.dataclass(config=CONFIG, frozen=True, kw_only=True)
class BeatHeadSettings:
    """Weights of the losses of the beat heads; a weight of 0 removes a loss."""

    beat: NotNegative = 1.0
    downbeat: NotNegative = 1.0
    position: NotNegative = 0.1
    metre: NotNegative = 0.1
    tempo: NotNegative = 0.1
    loss: Literal["widened", "shift_tolerant"] = "widened"
    """Loss of beats and downbeats."""
    positive_weight: NotNegative = 1.0
    """Weight of frames with a beat or a downbeat in the shift-tolerant loss."""

    def weights(self) -> dict[str, float]:
        """Weight of each head's loss."""
        return {name: getattr(self, name) for name in ("beat", "downbeat", "position", "metre", "tempo")}


def beat_head_losses(
    logits: BeatLogits, targets: BeatTargets, mask: Tensor, settings: BeatHeadSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the weighted sum of the losses, and each loss by the name of its head.

    Args:
        logits: outputs of the heads.
        targets: targets of the same clips.
        mask: (B, F), true within a clip.
        settings: weights; losses of weight 0 are not computed.
    """
    with_beats, with_bars = mask & targets.has_beats[:, None], mask & targets.has_bars[:, None]
    position = targets.position - 1
    metres = torch.tensor(METRES, device=mask.device)
    metre = (targets.metre[:, None] == metres).int().argmax(1)[:, None].expand(mask.shape)
    has_known_metre = (targets.metre[:, None] == metres).any(1)[:, None]
    losses = {
        "beat": lambda: _frame_loss(logits.beat, targets.beat, with_beats, settings),
        "downbeat": lambda: _frame_loss(
            logits.downbeat, targets.downbeat, mask & targets.has_downbeats[:, None], settings
        ),
        "position": lambda: _class_loss(
            logits.position, position, with_bars & (position >= 0) & (position < logits.position.shape[-1])
        ),
        "metre": lambda: _class_loss(logits.metre, metre, with_bars & has_known_metre & (position >= 0)),
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
    """Cross-entropy of (B, F, C) tempo logits, averaged over the frames of ``mask``.

    The target of a tempo between two classes is distributed over both, so that its mean is the tempo.
    """
    class_position = tempo_class(bpm.clamp(min=1.0))
    lower = class_position.floor().clamp(max=TEMPO_CLASSES - 2).long()
    share = class_position - lower
    log_probabilities = logits.log_softmax(-1)
    log_lower = log_probabilities.gather(-1, lower[..., None])[..., 0]
    log_upper = log_probabilities.gather(-1, lower[..., None] + 1)[..., 0]
    return _mean(-(1 - share) * log_lower - share * log_upper, mask)


def _frame_loss(logits: Tensor, targets: Tensor, mask: Tensor, settings: BeatHeadSettings) -> Tensor:
    if settings.loss == "widened":
        loss = F.binary_cross_entropy_with_logits(logits, spread_pulses(targets), reduction="none")
        return _mean(loss, mask)
    # Padding must not contain the maximum near the end of a clip.
    logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min / 4)
    inside = (
        F.max_pool1d((~mask).float()[:, None], 4 * TOLERANCE_FRAMES + 1, 1, 2 * TOLERANCE_FRAMES)[:, 0] == 0
    )
    return shift_tolerant_bce(logits, targets, TOLERANCE_FRAMES, settings.positive_weight, inside)


def _class_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    loss = F.cross_entropy(
        logits.flatten(0, 1), target.clamp(0, logits.shape[-1] - 1).flatten(), reduction="none"
    )
    return _mean(loss.view(mask.shape), mask)


def _mean(loss: Tensor, mask: Tensor) -> Tensor:
    """Mean over the frames of ``mask``; 0 if there are none."""
    mean: Tensor = (loss * mask).sum() / mask.sum().clamp(min=1)
    return mean

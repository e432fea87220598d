"""Losses of the beat heads: beats, downbeats, position in the bar, metre and tempo of a pair's own grid [O].

The beat loss is either a cross-entropy against targets that reach over their neighbours, or the
shift-tolerant one of Foscarin, Schlüter and Widmer, "Beat this! Accurate beat tracking without DBN
postprocessing" (ISMIR 2024).
"""

from __future__ import annotations

from typing import Literal

import pydantic.dataclasses
import torch
from torch import Tensor
from torch.nn import functional as F

from motion_data.pipeline.beat_targets import BeatTargets, spread
from motion_data.settings import CONFIG, NotNegative
from motionbeat_upstream.nn.music_tower import BeatLogits
from motionbeat_upstream.tracking.grid import METRES
from motionbeat_upstream.tracking.tempo import TEMPO_CLASSES, tempo_class
from recipes.downstream.beat_tracking.loss import shift_tolerant_bce

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
        "downbeat": lambda: _pulse_loss(
            logits.downbeat, targets.downbeat, mask & targets.has_downbeats[:, None], settings
        ),
        "position": lambda: _class_loss(
            logits.position, position, with_bars & (position >= 0) & (position < logits.position.shape[-1])
        ),
        "metre": lambda: _class_loss(logits.metre, metre, with_bars & known_metre & (position >= 0)),
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

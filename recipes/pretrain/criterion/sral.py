"""The Structural Rhythm Alignment Loss: accents of the music against events of the motion [P idea, S form].

Per beat: soft-DTW between the onset envelope predicted by the music tower and the contacts predicted by the
motion tower [S]. Per bar: the earth mover's distance between their accent masses [S], on the circle [O]. Each
head is also regressed on its own target; otherwise both heads could agree on constant outputs [O].
"""

from __future__ import annotations

from typing import Annotated

import pydantic.dataclasses
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from motion_data.rhythm.accent_mass import circular_emd
from motion_data.settings import CONFIG, Integer, NotNegative, Positive
from recipes.pretrain.criterion.beat_windows import BeatWindows
from recipes.pretrain.criterion.soft_dtw import soft_dtw_divergence


@pydantic.dataclasses.dataclass(config=CONFIG, frozen=True)
class SRALSettings:
    """Settings of SRAL; all values are our choice [O]."""

    per_beat: NotNegative = 1.0
    """Weight of soft-DTW."""
    per_bar: NotNegative = 1.0
    """Weight of the earth mover's distance."""
    regression: NotNegative = 1.0
    """Weight of the regression of each head on its target."""
    gamma: Positive = 0.05
    """Softness of soft-DTW, in squared units of the activations in [0, 1]."""
    band: Annotated[Integer, Field(ge=1, le=10_000)] = 4
    """Maximum distance of a warping path from the diagonal, in steps of a beat."""
    places: Annotated[Integer, Field(ge=2, le=1_000)] = 24
    """Bins per bar of the accent mass."""


def structural_rhythm_alignment_loss(
    onset: Tensor,
    contact: Tensor,
    onset_target: Tensor,
    contact_target: Tensor,
    mask: Tensor,
    windows: BeatWindows,
    settings: SRALSettings,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute SRAL of a batch, and its parts by name; a part is 0 if the batch has no complete beat or bar.

    Args:
        onset: (B, F) logits of the music tower's head, at 50 Hz.
        contact: (B, F) logits of the motion tower's head.
        onset_target: (B, F) onset envelope in [0, 1].
        contact_target: (B, F) foot contacts in [0, 1].
        mask: (B, F) true within a clip.
        windows: complete beats and bars of the batch.
        settings: weights and sizes.
    """
    with torch.autocast(onset.device.type, enabled=False):
        onset, contact = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (onset, contact))
        regressions = [
            _regression(logits, target.to(logits.dtype), mask)
            for logits, target in ((onset, onset_target), (contact, contact_target))
        ]
        music, motion = (windows.per_beat(torch.sigmoid(x) * mask) for x in (onset, contact))
        per_beat = per_bar = onset.sum() * 0.0
        if len(music):
            warped = soft_dtw_divergence(
                music[..., None], motion[..., None], settings.gamma, band=settings.band
            )
            per_beat = warped.mean() / windows.steps
        if len(windows.bar_lengths):
            masses = (windows.per_bar(x, settings.places) for x in (music, motion))
            per_bar = circular_emd(*masses).mean()
        loss = (
            settings.per_beat * per_beat
            + settings.per_bar * per_bar
            + settings.regression * (regressions[0] + regressions[1])
        )
        names = "sral_per_beat", "sral_per_bar", "sral_music_head", "sral_motion_head"
        return loss, dict(zip(names, (per_beat, per_bar, *regressions), strict=True))


def _regression(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy minus the entropy of the target, so that a perfect prediction costs 0."""
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = F.binary_cross_entropy(target, target, reduction="none")
    excess: Tensor = ((loss - entropy) * mask).sum() / mask.sum().clamp(min=1)
    return excess

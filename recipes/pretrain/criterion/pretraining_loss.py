"""L = ECL + λ·SRAL + the frame-level terms [P ECL and SRAL; O frame level]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from motion_data.negatives.drawing import may_be_negatives
from motionbeat_upstream.nn.frontend import length_mask
from motionbeat_upstream.nn.motion_frames import motion_frames
from motionbeat_upstream.nn.motion_tower import RATE
from motionbeat_upstream.nn.motionbeat import MotionSide, MusicFrames, MusicSide
from recipes.pairing.onset_curve import onset_target
from recipes.pretrain.batch import PretrainBatch
from recipes.pretrain.criterion.beat_losses import beat_head_losses, spread
from recipes.pretrain.criterion.beat_windows import beat_windows
from recipes.pretrain.criterion.ecl import ECLTerms, embodied_contrastive_loss
from recipes.pretrain.criterion.frame_infonce import FrameTerms, draw_shifts, draw_windows, frame_infonce
from recipes.pretrain.criterion.gathering import gather_rows
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.criterion.sral import SRALTerms, structural_rhythm_alignment_loss

STEPS = 16
"""Steps of a beat that SRAL compares."""


@dataclass(frozen=True)
class Encoded:
    """What the towers said of a batch."""

    music: MusicFrames
    """A :class:`MusicSide` where a loss needs the token layers."""
    motion: MotionSide | None
    """Of all R motions; None where no loss needs them."""
    ecl_temperature: Tensor
    frame_temperature: Tensor
    blind: int
    """Frames at either end of a motion where its projections know of the end."""


def pretraining_loss(
    said: Encoded, batch: PretrainBatch, settings: CriterionSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and its parts by name, detached.

    Parts whose weight is 0 are not computed.
    """
    mask = length_mask(batch.frame_lengths, said.music.frames.shape[1])
    loss = said.music.frames.new_zeros((), dtype=torch.float32)
    parts: dict[str, Tensor] = {}
    if settings.ecl.weight:
        ecl = contrast_embeddings(said, batch, settings)
        loss = loss + settings.ecl.weight * ecl.loss
        parts |= {
            "ecl": ecl.loss,
            "ecl_temperature": said.ecl_temperature,
            "positive_cosine": ecl.positive_cosine,
            "negative_cosine": ecl.negative_cosine,
            "batch_accuracy": ecl.in_batch_accuracy,
            "hard_accuracy": ecl.hard_accuracy,
        }
    onsets = onset_target(said.music.features.onset_envelope, batch.frame_lengths)
    if settings.sral_weight:
        sral = align_rhythm(said, batch, onsets, mask, settings)
        loss = loss + settings.sral_weight * sral.loss
        parts |= {
            "sral": sral.loss,
            "sral_per_beat": sral.per_beat,
            "sral_per_bar": sral.per_bar,
            "sral_music_head": sral.music_regression,
            "sral_motion_head": sral.motion_regression,
        }
    frames = settings.frames
    if frames.infonce:
        contrast = contrast_frames(said, batch, settings)
        loss = loss + frames.infonce * contrast.loss
        parts |= {
            "frame_infonce": contrast.loss,
            "frame_temperature": said.frame_temperature,
            "frame_accuracy": contrast.accuracy,
            "shift_accuracy": contrast.shift_accuracy,
        }
    if frames.onsets:
        heard = curve_loss(said.music.heard_onsets, onsets, mask)
        loss = loss + frames.onsets * heard
        parts["frame_onsets"] = heard
    if frames.pulses:
        if frames.pulse_target == "beats":
            heard = curve_loss(
                said.music.heard_contacts, spread(batch.beats.beat), mask & batch.beats.has_beats[:, None]
            )
        else:
            heard = curve_loss(said.music.heard_contacts, batch.contact_target, mask)
        loss = loss + frames.pulses * heard
        parts["frame_pulses"] = heard
    if said.music.features.beats is not None and any(settings.heads.weights().values()):
        heads, by_head = beat_head_losses(said.music.features.beats, batch.beats, mask, settings.heads)
        loss = loss + heads
        parts |= {f"head_{name}": part for name, part in by_head.items()}
    return loss, {"loss": loss.detach()} | {name: part.detach() for name, part in parts.items()}


def contrast_embeddings(said: Encoded, batch: PretrainBatch, settings: CriterionSettings) -> ECLTerms:
    """ECL over the motions of all ranks and each clip's own hard negatives."""
    size = len(batch)
    assert isinstance(said.music, MusicSide)
    assert said.motion is not None
    music, motion = said.music.compared, said.motion.compared
    motions, offset = gather_rows(motion[:size])
    pieces, _ = gather_rows(batch.pieces)
    takes, _ = gather_rows(batch.takes)
    may = torch.from_numpy(may_be_negatives(pieces.tolist(), takes.tolist())).to(music.device)
    hard, there = by_owner(motion[size:], batch.rows.owner[size:], size)
    return embodied_contrastive_loss(
        music,
        motions,
        may[offset : offset + size],
        said.ecl_temperature,
        hard,
        there,
        own=torch.arange(offset, offset + size, device=music.device),
        all_music=gather_rows(music)[0] if settings.ecl.symmetric else None,
    )


def by_owner(rows: Tensor, owner: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Hard negatives laid out by the clip they belong to.

    Args:
        rows: (N, E), those of a clip one after the other.
        owner: (N,) the clip of each, not decreasing.
        size: B, number of clips.

    Returns:
        (B, H, E) padded with 0, and (B, H) true where there is one.
    """
    counts = torch.bincount(owner, minlength=size)
    most = int(counts.max()) if len(owner) else 0
    there = torch.arange(most, device=rows.device) < counts[:, None]
    laid = rows.new_zeros(size, most, rows.shape[1])
    laid[there] = rows
    return laid, there


def align_rhythm(
    said: Encoded, batch: PretrainBatch, onsets: Tensor, mask: Tensor, settings: CriterionSettings
) -> SRALTerms:
    """SRAL between the clips' music and their own motions."""
    size = len(batch)
    assert isinstance(said.music, MusicSide)
    assert said.motion is not None
    windows = beat_windows(
        batch.grids, (batch.frame_lengths / RATE).tolist(), mask.shape[1], STEPS, mask.device
    )
    return structural_rhythm_alignment_loss(
        said.music.onsets,
        said.motion.contacts[:size],
        onsets,
        batch.contact_target,
        mask,
        windows,
        settings.sral,
    )


def contrast_frames(said: Encoded, batch: PretrainBatch, settings: CriterionSettings) -> FrameTerms:
    """The windowed InfoNCE between the clips' music and their own motions."""
    size, frames = len(batch), settings.frames
    assert said.motion is not None
    rows = batch.rows
    window = round(frames.window * RATE)
    first, fits = draw_windows(batch.frame_lengths, window, frames.windows, said.blind)
    may = torch.from_numpy(may_be_negatives(batch.pieces.tolist(), batch.takes.tolist()))
    with torch.no_grad():
        seen = motion_frames(rows.joints[:size], rows.pulses[:size], rows.has_joints[:size], RATE)
    return frame_infonce(
        said.music.frames,
        said.motion.frames[:size],
        seen,
        first,
        fits,
        draw_shifts(frames.shifts),
        may.to(first.device),
        said.frame_temperature,
        window,
    )


def curve_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of a curve in [0, 1], the mean over a batch's frames; 0 where there are none."""
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
        mean: Tensor = (loss * mask).sum() / mask.sum().clamp(min=1)
    return mean

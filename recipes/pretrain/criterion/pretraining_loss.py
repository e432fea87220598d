"""L = ECL + λ·SRAL + the frame-level terms [P ECL and SRAL; O frame level]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motion_data.negatives.drawing import may_be_negatives
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.beat_targets import spread
from motionbeat_upstream.nn.motion_frames import motion_frames
from motionbeat_upstream.nn.motion_tower import RATE
from motionbeat_upstream.nn.motionbeat import MotionSide, MusicFrames, MusicSide
from motionbeat_upstream.tracking.frontend import length_mask
from recipes.pairing.onset_curve import onset_target
from recipes.pretrain.criterion.beat_losses import beat_head_losses
from recipes.pretrain.criterion.beat_windows import beat_windows
from recipes.pretrain.criterion.ecl import embodied_contrastive_loss, gather_rows
from recipes.pretrain.criterion.frame_infonce import draw_shifts, draw_windows, frame_infonce
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.criterion.sral import structural_rhythm_alignment_loss

STEPS = 16
"""Steps of a beat that SRAL compares."""


def pretraining_loss(
    music: MusicFrames,
    motion: MotionSide | None,
    batch: Batch,
    settings: CriterionSettings,
    *,
    ecl_temperature: Tensor,
    frame_temperature: Tensor,
    blind: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and its parts by name, detached.

    Parts whose weight is 0 are not computed.

    Args:
        music: of the B clips; a :class:`MusicSide` where a loss needs the token layers.
        motion: of all R motions; None where no loss needs them.
        batch: what the towers were given, and the targets.
        settings: weights.
        ecl_temperature: scalar.
        frame_temperature: scalar.
        blind: frames at either end of a motion where its projections know of the end.
    """
    mask = length_mask(batch.frame_lengths, music.frames.shape[1])
    loss = music.frames.new_zeros((), dtype=torch.float32)
    parts: dict[str, Tensor] = {}
    if settings.ecl.weight:
        ecl, watched = contrast_embeddings(music, motion, batch, settings, ecl_temperature)
        loss = loss + settings.ecl.weight * ecl
        parts |= {"ecl": ecl, "ecl_temperature": ecl_temperature, **watched}
    onsets = onset_target(music.features.onset_envelope, batch.frame_lengths)
    if settings.sral_weight:
        sral, watched = align_rhythm(music, motion, batch, onsets, mask, settings)
        loss = loss + settings.sral_weight * sral
        parts |= {"sral": sral, **watched}
    frames = settings.frames
    if frames.infonce:
        contrast, watched = contrast_frames(music, motion, batch, settings, frame_temperature, blind)
        loss = loss + frames.infonce * contrast
        parts |= {"frame_infonce": contrast, "frame_temperature": frame_temperature, **watched}
    if frames.onsets:
        parts["frame_onsets"] = curve_loss(music.heard_onsets, onsets, mask)
        loss = loss + frames.onsets * parts["frame_onsets"]
    if frames.pulses:
        target, known = batch.contacts, mask
        if frames.pulse_target == "beats":
            target, known = spread(batch.beats.beat), mask & batch.beats.has_beats[:, None]
        parts["frame_pulses"] = curve_loss(music.heard_contacts, target, known)
        loss = loss + frames.pulses * parts["frame_pulses"]
    if music.features.beats is not None and any(settings.heads.weights().values()):
        heads, by_head = beat_head_losses(music.features.beats, batch.beats, mask, settings.heads)
        loss = loss + heads
        parts |= {f"head_{name}": part for name, part in by_head.items()}
    return loss, {"loss": loss.detach()} | {name: part.detach() for name, part in parts.items()}


def contrast_embeddings(
    music_side: MusicFrames,
    motion_side: MotionSide | None,
    batch: Batch,
    settings: CriterionSettings,
    temperature: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """ECL over the motions of all ranks and each clip's own hard negatives."""
    size = len(batch)
    assert isinstance(music_side, MusicSide)
    assert motion_side is not None
    music, motion = music_side.compared, motion_side.compared
    motions, offset = gather_rows(motion[:size])
    pieces, _ = gather_rows(batch.pieces)
    takes, _ = gather_rows(batch.takes)
    may = torch.from_numpy(may_be_negatives(pieces.tolist(), takes.tolist())).to(music.device)
    hard, there = by_owner(motion[size:], batch.owner[size:], size)
    return embodied_contrastive_loss(
        music,
        motions,
        may[offset : offset + size],
        temperature,
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
    music: MusicFrames,
    motion: MotionSide | None,
    batch: Batch,
    onsets: Tensor,
    mask: Tensor,
    settings: CriterionSettings,
) -> tuple[Tensor, dict[str, Tensor]]:
    """SRAL between the clips' music and their own motions."""
    assert isinstance(music, MusicSide)
    assert motion is not None
    windows = beat_windows(
        batch.grids, (batch.frame_lengths / RATE).tolist(), mask.shape[1], STEPS, mask.device
    )
    return structural_rhythm_alignment_loss(
        music.onsets,
        motion.contacts[: len(batch)],
        onsets,
        batch.contacts,
        mask,
        windows,
        settings.sral,
    )


def contrast_frames(
    music: MusicFrames,
    motion: MotionSide | None,
    batch: Batch,
    settings: CriterionSettings,
    temperature: Tensor,
    blind: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The windowed InfoNCE between the clips' music and their own motions."""
    size, frames = len(batch), settings.frames
    assert motion is not None
    window = round(frames.window * RATE)
    first, fits = draw_windows(batch.frame_lengths, window, frames.windows, blind)
    may = torch.from_numpy(may_be_negatives(batch.pieces.tolist(), batch.takes.tolist()))
    with torch.no_grad():
        seen = motion_frames(batch.joints[:size], batch.pulses[:size], batch.has_joints[:size], RATE)
    return frame_infonce(
        music.frames,
        motion.frames[:size],
        seen,
        first,
        fits,
        draw_shifts(frames.shifts),
        may.to(first.device),
        temperature,
        window,
    )


def curve_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of a curve in [0, 1], the mean over a batch's frames; 0 where there are none."""
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
        mean: Tensor = (loss * mask).sum() / mask.sum().clamp(min=1)
    return mean

"""The pretraining loss: ECL + λ·SRAL + frame-level losses + beat heads [P ECL and SRAL; O the others]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from motion_data.negatives.drawing import negative_mask
from motion_data.pipeline.batch import Batch
from motion_data.pipeline.beat_targets import spread_pulses
from motionbeat_upstream.config import FRAME_RATE
from motionbeat_upstream.nn.motion_frames import motion_frames
from motionbeat_upstream.nn.motionbeat import MotionSide, MusicFrames, MusicSide
from motionbeat_upstream.tracking.frontend import length_mask
from recipes.pairing.onset_curve import onset_target
from recipes.pretrain.criterion.beat_losses import beat_head_losses
from recipes.pretrain.criterion.beat_windows import beat_windows
from recipes.pretrain.criterion.ecl import embodied_contrastive_loss, gather_rows
from recipes.pretrain.criterion.frame_infonce import draw_shifts, draw_windows, frame_infonce
from recipes.pretrain.criterion.settings import CriterionSettings
from recipes.pretrain.criterion.sral import structural_rhythm_alignment_loss

STEPS_PER_BEAT = 16
"""Steps per beat in SRAL."""


def pretraining_loss(
    music: MusicFrames,
    motion: MotionSide | None,
    batch: Batch,
    settings: CriterionSettings,
    *,
    ecl_temperature: Tensor,
    frame_temperature: Tensor,
    edge_frames: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the loss of a batch, and its parts by name, detached.

    Parts of weight 0 are not computed.

    Args:
        music: outputs for the B clips; a :class:`MusicSide` if a loss needs the token layers.
        motion: outputs for all R motions; None if no loss needs them.
        batch: inputs of the towers, and the targets.
        settings: weights.
        ecl_temperature: scalar.
        frame_temperature: scalar.
        edge_frames: frames at both ends of a motion whose projections depend on the padding.
    """
    mask = length_mask(batch.frame_lengths, music.frames.shape[1])
    loss = music.frames.new_zeros((), dtype=torch.float32)
    parts: dict[str, Tensor] = {}
    if settings.ecl.weight:
        ecl, statistics = contrast_embeddings(music, motion, batch, settings, ecl_temperature)
        loss = loss + settings.ecl.weight * ecl
        parts |= {"ecl": ecl, "ecl_temperature": ecl_temperature, **statistics}
    onsets = onset_target(music.features.onset_envelope, batch.frame_lengths)
    if settings.sral_weight:
        sral, statistics = align_rhythm(music, motion, batch, onsets, mask, settings)
        loss = loss + settings.sral_weight * sral
        parts |= {"sral": sral, **statistics}
    frames = settings.frames
    if frames.infonce:
        contrast, statistics = contrast_frames(music, motion, batch, settings, frame_temperature, edge_frames)
        loss = loss + frames.infonce * contrast
        parts |= {"frame_infonce": contrast, "frame_temperature": frame_temperature, **statistics}
    if frames.onsets:
        parts["frame_onsets"] = curve_loss(music.trunk_onsets, onsets, mask)
        loss = loss + frames.onsets * parts["frame_onsets"]
    if frames.pulses:
        target, known = batch.contacts, mask
        if frames.pulse_target == "beats":
            target, known = spread_pulses(batch.beats.beat), mask & batch.beats.has_beats[:, None]
        parts["frame_pulses"] = curve_loss(music.trunk_contacts, target, known)
        loss = loss + frames.pulses * parts["frame_pulses"]
    if music.features.beats is not None and any(settings.heads.weights().values()):
        heads_loss, head_losses = beat_head_losses(music.features.beats, batch.beats, mask, settings.heads)
        loss = loss + heads_loss
        parts |= {f"head_{name}": part for name, part in head_losses.items()}
    return loss, {"loss": loss.detach()} | {name: part.detach() for name, part in parts.items()}


def contrast_embeddings(
    music_side: MusicFrames,
    motion_side: MotionSide | None,
    batch: Batch,
    settings: CriterionSettings,
    temperature: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the ECL over the motions of all ranks and the hard negatives of each clip."""
    size = len(batch)
    assert isinstance(music_side, MusicSide)
    assert motion_side is not None
    music, motion = music_side.joint_embedding, motion_side.joint_embedding
    motions, offset = gather_rows(motion[:size])
    pieces, _ = gather_rows(batch.pieces)
    takes, _ = gather_rows(batch.takes)
    is_negative = torch.from_numpy(negative_mask(pieces.tolist(), takes.tolist())).to(music.device)
    hard, hard_mask = pad_by_owner(motion[size:], batch.owner[size:], size)
    return embodied_contrastive_loss(
        music,
        motions,
        is_negative[offset : offset + size],
        temperature,
        hard,
        hard_mask,
        own_index=torch.arange(offset, offset + size, device=music.device),
        all_music=gather_rows(music)[0] if settings.ecl.symmetric else None,
    )


def pad_by_owner(rows: Tensor, owner: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Arrange hard negatives by their clips.

    Args:
        rows: (N, E) embeddings, ordered by clip.
        owner: (N,) clip of each row, not decreasing.
        size: B, number of clips.

    Returns:
        (B, H, E) padded with 0, and (B, H) false for padding.
    """
    counts = torch.bincount(owner, minlength=size)
    max_count = int(counts.max()) if len(owner) else 0
    mask = torch.arange(max_count, device=rows.device) < counts[:, None]
    padded = rows.new_zeros(size, max_count, rows.shape[1])
    padded[mask] = rows
    return padded, mask


def align_rhythm(
    music: MusicFrames,
    motion: MotionSide | None,
    batch: Batch,
    onsets: Tensor,
    mask: Tensor,
    settings: CriterionSettings,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute SRAL between the music of the clips and their own motions."""
    assert isinstance(music, MusicSide)
    assert motion is not None
    windows = beat_windows(
        batch.grids, (batch.frame_lengths / FRAME_RATE).tolist(), mask.shape[1], STEPS_PER_BEAT, mask.device
    )
    return structural_rhythm_alignment_loss(
        music.onsets, motion.contacts[: len(batch)], onsets, batch.contacts, mask, windows, settings.sral
    )


def contrast_frames(
    music: MusicFrames,
    motion: MotionSide | None,
    batch: Batch,
    settings: CriterionSettings,
    temperature: Tensor,
    edge_frames: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the windowed InfoNCE between the music of the clips and their own motions."""
    size, frames = len(batch), settings.frames
    assert motion is not None
    window = round(frames.window * FRAME_RATE)
    first, fits = draw_windows(batch.frame_lengths, window, frames.windows, edge_frames)
    is_negative = torch.from_numpy(negative_mask(batch.pieces.tolist(), batch.takes.tolist()))
    with torch.no_grad():
        motion_input = motion_frames(
            batch.joints[:size], batch.pulses[:size], batch.has_joints[:size], FRAME_RATE
        )
    return frame_infonce(
        music.frames,
        motion.frames[:size],
        motion_input,
        first,
        fits,
        draw_shifts(frames.shifts),
        is_negative.to(first.device),
        temperature,
        window,
    )


def curve_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of activations in [0, 1], averaged over the frames of ``mask``; 0 if there are none."""
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
        mean: Tensor = (loss * mask).sum() / mask.sum().clamp(min=1)
    return mean

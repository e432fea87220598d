"""Windowed InfoNCE between frames of music and frames of motion, without a grid [O].

A window of about two seconds of music is compared frame by frame with windows of motion. Its own motion must
be nearer than the motions of other pairs, and nearer than the same motion shifted by 80 to 800 ms. The
shifted copies require features that are exact to the frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_SHIFT_FRAMES, MAX_SHIFT_FRAMES = 4, 40
"""Range of shifts in frames of 20 ms: ±80 to ±800 ms."""

SAME_MOTION_COSINE = 0.98
"""Cosine above which two windows of a motion count as the same: a periodic motion shifted by its period is
not a negative."""


def draw_windows(
    lengths: Tensor, window: int, count: int, edge_frames: int = 0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the first frames of windows, with room for the maximum shift on both sides.

    Args:
        lengths: (B,) frames of each clip.
        window: frames of a window.
        count: W, windows per clip.
        edge_frames: frames at both ends whose motion projections depend on the padding. A window shifted into
            them could be recognised without the music.
        generator: random generator on the CPU.

    Returns:
        (B, W) first frames, 0 for clips that are too short, and (B,) true for clips that are long enough.
    """
    margin = MAX_SHIFT_FRAMES + edge_frames
    room = lengths - window - 2 * margin
    share = torch.rand(len(lengths), count, generator=generator).to(lengths.device)
    first = margin + (share * (room.clamp(min=0) + 1)[:, None]).floor().long()
    fits = room >= 0
    return torch.where(fits[:, None], first, 0), fits


def draw_shifts(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw (S,) shifts in frames, uniform in size and with alternating signs."""
    size = (
        torch.rand(count, generator=generator) * (MAX_SHIFT_FRAMES + 1 - MIN_SHIFT_FRAMES) + MIN_SHIFT_FRAMES
    )
    sign = torch.where(torch.arange(count) % 2 == 0, 1, -1)
    return size.floor().long() * sign


def frame_infonce(
    music: Tensor,
    motion: Tensor,
    motion_input: Tensor,
    first: Tensor,
    fits: Tensor,
    shifts: Tensor,
    is_negative: Tensor,
    temperature: Tensor,
    window: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the loss of a batch, and statistics for monitoring.

    Args:
        music: (B, F, E) projections of the music frames.
        motion: (B, F, E) projections of the motion frames.
        motion_input: (B, F, C) input of the motion tower, from which repetitions are detected.
        first, fits: outputs of :func:`draw_windows`.
        shifts: (S,) output of :func:`draw_shifts`.
        is_negative: (B, B) false where music and motion are of the same piece or take.
        temperature: τ, a scalar above 0.
        window: frames of a window.

    Returns:
        The mean over windows, and by name the shares of windows whose own motion is nearer than the motions
        of all other pairs, and nearer than all shifted copies. All are 0 if no clip is long enough.
    """
    with torch.autocast(music.device.type, enabled=False):
        dtype = torch.promote_types(music.dtype, torch.float32)
        music, motion, motion_input = (x.to(dtype) for x in (music, motion, motion_input))
        offsets = torch.cat([shifts.new_zeros(1), shifts.to(first.device)])
        music_windows = _windows(music, first, window)
        # (B, W, 1 + S, E · window): the motion unshifted, then shifted.
        motion_windows = _windows(motion, first[..., None] + offsets, window)
        inputs = _windows(motion_input, first[..., None] + offsets, window)
        is_repetition = (inputs * inputs[..., :1, :]).sum(-1)[..., 1:] > SAME_MOTION_COSINE
        own = torch.einsum("bwe,bwse->bws", music_windows, motion_windows) / temperature
        others = torch.einsum("iwe,jwe->wij", music_windows, motion_windows[:, :, 0]) / temperature
        comparable = is_negative & fits
        others = others.masked_fill(~comparable, -math.inf).permute(1, 0, 2)
        shifted_logits = own[..., 1:].masked_fill(is_repetition, -math.inf)
        logits = torch.cat([own[..., :1], shifted_logits, others], -1)
        loss = -F.log_softmax(logits, -1)[..., 0]
        weight = fits[:, None].to(dtype).expand_as(loss)
        total = weight.sum().clamp(min=1)
        with torch.no_grad():
            above_others = (own[..., :1] > others).all(-1).to(dtype)
            above_shifted = (own[..., :1] > shifted_logits).all(-1).to(dtype)
        loss, above_others, above_shifted = (
            (x * weight).sum() / total for x in (loss, above_others, above_shifted)
        )
        return loss, {"frame_accuracy": above_others, "shift_accuracy": above_shifted}


def _windows(x: Tensor, first: Tensor, window: int) -> Tensor:
    """Cut windows from (B, F, E) at (B, ...) first frames, as unit vectors (B, ..., E · window)."""
    index = first[..., None] + torch.arange(window, device=x.device)
    index = index.clamp(0, x.shape[1] - 1)
    row = torch.arange(len(x), device=x.device).view(-1, *[1] * (index.dim() - 1))
    return F.normalize(x[row, index].flatten(-2), dim=-1)

"""Windowed InfoNCE between frames of music and frames of motion, without a grid [O].

A window of about two seconds of music is compared with windows of motion frame by frame. Its own
motion must be nearer than that of other pairs, and nearer than the same motion moved by 80 to 800 ms:
only what is heard to the frame tells those apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

NEAREST, FARTHEST = 4, 40
"""Frames of 20 ms by which the motion is moved: ±80 to ±800 ms."""

SAME = 0.98
"""Cosine of two stretches of a motion from which they count as the same: a motion that repeats itself
exactly, moved by its own period, is no negative."""


def draw_windows(
    lengths: Tensor, window: int, count: int, blind: int = 0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Where windows begin, with room for the largest move on either side.

    Args:
        lengths: (B,) frames of each clip.
        window: frames of a window.
        count: W, windows a clip.
        blind: frames at either end where the motion's projections know of the end. A window moved into
            them could be told by that, without listening.
        generator: of the draw, on the CPU.

    Returns:
        (B, W) first frames, and (B,) true where a clip is long enough; the others' are 0.
    """
    margin = FARTHEST + blind
    room = lengths - window - 2 * margin
    share = torch.rand(len(lengths), count, generator=generator).to(lengths.device)
    first = margin + (share * (room.clamp(min=0) + 1)[:, None]).floor().long()
    fits = room >= 0
    return torch.where(fits[:, None], first, 0), fits


def draw_shifts(count: int, generator: torch.Generator | None = None) -> Tensor:
    """(S,) moves in frames: half of them late, half early, evenly spread in size."""
    size = torch.rand(count, generator=generator) * (FARTHEST + 1 - NEAREST) + NEAREST
    sign = torch.where(torch.arange(count) % 2 == 0, 1, -1)
    return size.floor().long() * sign


def frame_infonce(
    music: Tensor,
    motion: Tensor,
    seen: Tensor,
    first: Tensor,
    fits: Tensor,
    shifts: Tensor,
    may_contrast: Tensor,
    temperature: Tensor,
    window: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and what to watch beside it.

    Args:
        music: (B, F, E) projections of the music's frames.
        motion: (B, F, E) projections of the motion's frames.
        seen: (B, F, C) the motion as its tower sees it, to know where it repeats itself.
        first, fits: of :func:`draw_windows`.
        shifts: (S,) of :func:`draw_shifts`.
        may_contrast: (B, B) false where a motion is of the piece or the take of a music.
        temperature: τ, a scalar above 0.
        window: frames of a window.

    Returns:
        The mean over windows; and by name the shares of windows whose own motion is nearer than that of every
        other pair, and than each of its moved copies. All are 0 where no clip is long enough.
    """
    with torch.autocast(music.device.type, enabled=False):
        dtype = torch.promote_types(music.dtype, torch.float32)
        music, motion, seen = (x.to(dtype) for x in (music, motion, seen))
        moved = torch.cat([shifts.new_zeros(1), shifts.to(first.device)])
        heard = _windows(music, first, window)
        # (B, W, 1 + S, E · window): the motion in its place, then moved.
        danced = _windows(motion, first[..., None] + moved, window)
        same = _cosine(_windows(seen, first[..., None] + moved, window))[..., 1:] > SAME
        own = torch.einsum("bwe,bwse->bws", heard, danced) / temperature
        others = torch.einsum("iwe,jwe->wij", heard, danced[:, :, 0]) / temperature
        apart = may_contrast & fits
        others = others.masked_fill(~apart, -math.inf).permute(1, 0, 2)
        moved_logits = own[..., 1:].masked_fill(same, -math.inf)
        logits = torch.cat([own[..., :1], moved_logits, others], -1)
        loss = -F.log_softmax(logits, -1)[..., 0]
        weight = fits[:, None].to(dtype).expand_as(loss)
        total = weight.sum().clamp(min=1)
        with torch.no_grad():
            ahead = (own[..., :1] > others).all(-1).to(dtype)
            in_place = (own[..., :1] > moved_logits).all(-1).to(dtype)
        loss, ahead, in_place = ((x * weight).sum() / total for x in (loss, ahead, in_place))
        return loss, {"frame_accuracy": ahead, "shift_accuracy": in_place}


def _windows(x: Tensor, first: Tensor, window: int) -> Tensor:
    """(B, F, E) to (B, ..., E · window) unit vectors: the windows that begin at (B, ...) frames."""
    index = first[..., None] + torch.arange(window, device=x.device)
    index = index.clamp(0, x.shape[1] - 1)
    row = torch.arange(len(x), device=x.device).view(-1, *[1] * (index.dim() - 1))
    return F.normalize(x[row, index].flatten(-2), dim=-1)


def _cosine(windows: Tensor) -> Tensor:
    """(..., S, E) unit vectors: the cosine of each with the first."""
    return (windows * windows[..., :1, :]).sum(-1)

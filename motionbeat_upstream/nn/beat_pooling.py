"""Pooling of frames into beat-synchronous tokens, and spreading of tokens over frames.

Beat segmentation is the paper's [P]; pooling by exact overlap is ours [O]: each token is the
overlap-weighted mean of its frames, so a token shorter than a frame also has a value.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from motionbeat_upstream.config import FRAME_RATE
from motionbeat_upstream.tracking.grid import Tokens

FRAME_SECONDS = 1 / FRAME_RATE


@dataclass(frozen=True)
class Overlaps:
    """Overlaps of frames with tokens.

    The borders of frames and tokens cut a clip into E segments; each lies in one frame and one token. So the
    table is as long as frames and tokens together, not their product.
    """

    frame: Tensor
    """(B, E) index of the segment's frame, int64."""
    token: Tensor
    """(B, E) index of the segment's token, int64."""
    seconds: Tensor
    """(B, E) float32 length of the segment; 0 where borders coincide and in padding."""
    frames: int
    """F, number of frames of the padded batch."""
    tokens: int
    """N, number of tokens of the padded batch."""

    def to(self, device: torch.device) -> Overlaps:
        """Copy the table to a device."""
        return Overlaps(
            self.frame.to(device), self.token.to(device), self.seconds.to(device), self.frames, self.tokens
        )


def overlaps(tokens: Tokens, frames: int) -> Overlaps:
    """Compute the overlaps of a batch of tokens with ``frames`` frames of 20 ms."""
    batch = tokens.start.shape[0]
    borders = (torch.arange(frames + 1, dtype=torch.float64) * FRAME_SECONDS).expand(batch, -1)
    end = tokens.stop.max(1, keepdim=True).values
    edges = torch.cat([borders.minimum(end), tokens.start, tokens.stop], 1).sort(1).values
    middle = (edges[:, 1:] + edges[:, :-1]) / 2
    frame = (middle / FRAME_SECONDS).long().clamp(max=frames - 1)
    token = torch.searchsorted(tokens.stop, middle, right=True).clamp(max=tokens.start.shape[1] - 1)
    seconds = edges[:, 1:] - edges[:, :-1]
    # Shorter segments come from rounding: a sample lasts 6e-5 s.
    seconds = torch.where(seconds > 1e-9, seconds, 0.0).float()
    return Overlaps(frame, token, seconds, frames, tokens.start.shape[1])


def pool(x: Tensor, table: Overlaps) -> Tensor:
    """Pool (B, F, D) frames into (B, N, D) tokens, each the overlap-weighted mean of its frames."""
    return _weighted_mean(x, table.frame, table.token, table.seconds, table.tokens)


def spread(x: Tensor, table: Overlaps) -> Tensor:
    """Spread (B, N, D) tokens over (B, F, D) frames, each the overlap-weighted mean of its tokens."""
    return _weighted_mean(x, table.token, table.frame, table.seconds, table.frames)


def _weighted_mean(x: Tensor, source: Tensor, target: Tensor, weight: Tensor, size: int) -> Tensor:
    """Weighted mean of the sources of each target, (B, size, D); ``target`` ascends in each row."""
    batch, count, dim = x.shape
    row = torch.arange(batch, device=x.device)[:, None]
    target = (row * size + target).flatten()
    total = torch.zeros(batch * size, device=x.device).index_add(0, target, weight.flatten())
    share = weight.flatten() / total[target].clamp(min=torch.finfo(torch.float32).tiny)
    # Half precision loses small shares in sums.
    values = x.reshape(-1, dim).to(torch.promote_types(x.dtype, torch.float32))
    means = embedding_bag(
        (row * count + source).flatten(),
        values,
        torch.searchsorted(target, torch.arange(batch * size, device=x.device)),
        mode="sum",
        per_sample_weights=share.to(values.dtype),
    )
    return means.to(x.dtype).view(batch, size, dim)

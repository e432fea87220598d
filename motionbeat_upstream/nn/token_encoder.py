"""The token layers [P]: phase rotation, multi-head attention, LayerNorm, feed-forward.

The residual paths, the norm after the feed-forward part and the formula of the attention are ours [O].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionbeat_upstream.config import TowerConfig
from motionbeat_upstream.nn.contact_guidance import ContactGuide, Guide
from motionbeat_upstream.nn.frame_trunk import feed_forward
from motionbeat_upstream.nn.phase_rotation import PhaseRotation, Rotation

BLOCK, CONTEXT = 1024, 256
"""Attention is computed in blocks of tokens, with tokens on both sides as context: over a whole hour it would
cost more than the rest of the model. In training a clip has a tenth of a block."""


class TokenEncoder(nn.Module):
    """N layers over beat-synchronous tokens.

    Adding one δ to every phase does not change the output. Rolling a periodic piece of up to ``BLOCK`` tokens
    by whole bars rolls the output.

    Args:
        config: of the tower.
        contact_harmonics: K of the contact guidance of each layer; None for no guidance.
    """

    def __init__(self, config: TowerConfig, contact_harmonics: int | None = None) -> None:
        super().__init__()
        pairs = config.dim // config.heads // 2
        self.rotation = PhaseRotation(pairs, config.harmonics, config.hypermetre)
        self.layers = nn.ModuleList(
            TokenLayer(config.dim, config.heads, config.expansion, config.dropout)
            for _ in range(config.token_layers)
        )
        guided = 0 if contact_harmonics is None else config.token_layers
        self.guides = nn.ModuleList(ContactGuide(config.heads, contact_harmonics or 0) for _ in range(guided))

    def forward(
        self, x: Tensor, phase: Tensor, bar: Tensor, mask: Tensor, contact: Tensor | None = None
    ) -> list[Tensor]:
        """Encode tokens.

        Args:
            x: (B, N, D) tokens.
            phase: (B, N) bar phase θ in radians.
            bar: (B, N) index of the bar, int64.
            mask: (B, N) true for tokens, false in padding.
            contact: (B, N) contact pulse in [0, 1]; for an encoder with guidance.

        Returns:
            The output of each layer, (B, N, D), 0 in padding.
        """
        position = _over_heads(self.rotation.position_rotation(phase, bar))
        bar_rotation = _over_heads(self.rotation.bar_rotation(phase))
        states = []
        guides: list[Guide | None] = [None] * len(self.layers)
        if contact is not None and len(self.guides):
            guides = [guide(phase, contact * mask) for guide in self.guides]
        for layer, guide in zip(self.layers, guides, strict=True):
            x = layer(x, position, bar_rotation, mask, guide) * mask[..., None]
            states.append(x)
        return states


class TokenLayer(nn.Module):
    """One layer, with the norms after attention and feed-forward, as in the paper's figure."""

    def __init__(self, dim: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.attention = PhaseRotatedAttention(dim, heads, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = feed_forward(dim, expansion, dropout)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, position: Rotation, phase: Rotation, mask: Tensor, guide: Guide | None = None
    ) -> Tensor:
        """Map (B, N, D) to (B, N, D); the arguments are those of :class:`PhaseRotatedAttention`."""
        x = self.attention_norm(x + self.dropout(self.attention(x, position, phase, mask, guide)))
        out: Tensor = self.feed_forward_norm(x + self.feed_forward(x))
        return out


class PhaseRotatedAttention(nn.Module):
    """Self-attention whose output depends on differences of phase only [P name, O formula].

    Queries and keys are rotated by R(θ_n) and by the hypermetre. Values are rotated by R(θ_n), the outputs by
    its inverse.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.project_in = nn.Linear(dim, 3 * dim)
        self.project_out = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, position: Rotation, phase: Rotation, mask: Tensor, guide: Guide | None = None
    ) -> Tensor:
        """Attend over the tokens of each clip.

        Args:
            x: (B, N, D) tokens.
            position: rotation of queries and keys, (B, 1, N, D / heads / 2).
            phase: R(θ), rotation of the values, of the same shape.
            mask: (B, N) true for tokens, false in padding.
            guide: contact guidance of the logits.

        Returns:
            (B, N, D), undefined in padding.
        """
        batch, count, dim = x.shape
        projected = self.project_in(x).view(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        query, key = position.apply(query) / math.sqrt(query.shape[-1]), position.apply(key)
        if guide is not None:
            query = torch.cat([query, guide.query.expand(-1, self.heads, -1, -1).to(query.dtype)], -1)
            key = torch.cat([key, guide.key.to(key.dtype)], -1)
        value = phase.apply(value)
        blocks = []
        for first in range(0, count, BLOCK):
            context = slice(max(0, first - CONTEXT), first + BLOCK + CONTEXT)
            blocks.append(
                F.scaled_dot_product_attention(
                    query[:, :, first : first + BLOCK],
                    key[:, :, context],
                    value[:, :, context],
                    attn_mask=mask[:, None, None, context],
                    dropout_p=self.dropout if self.training else 0.0,
                    scale=1.0,
                )
            )
        values = phase.inverse().apply(torch.cat(blocks, 2))
        out: Tensor = self.project_out(values.transpose(1, 2).reshape(batch, count, dim))
        return out


def _over_heads(rotation: Rotation) -> Rotation:
    return Rotation(rotation.cos[:, None], rotation.sin[:, None])

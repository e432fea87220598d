"""Multi-head attention between tokens that are turned by their place in the bar [P name, O formula]."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motionbeat_upstream.nn.contact_guidance import Guide
from motionbeat_upstream.nn.phase_rotation import Rotation


class PhaseRotatedAttention(nn.Module):
    """Self-attention whose outcome depends on differences of phase only.

    Queries and keys are turned by R(θ_n) and by the hypermetre; values by R(θ_n) on the way in
    and by its inverse on the way out.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.project_in = nn.Linear(dim, 3 * dim)
        self.project_out = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, place: Rotation, phase: Rotation, mask: Tensor, guide: Guide | None = None
    ) -> Tensor:
        """Attend over the tokens of each clip.

        Args:
            x: (B, N, D) tokens.
            place: rotation of queries and keys, (B, 1, N, D / heads / 2).
            phase: R(θ), rotation of the values, of the same shape.
            mask: (B, N) true where there is a token.
            guide: what contacts add to the logits.

        Returns:
            (B, N, D); what stands in padding is of no meaning.
        """
        batch, count, dim = x.shape
        projected = self.project_in(x).view(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        query, key = place.apply(query) / math.sqrt(query.shape[-1]), place.apply(key)
        if guide is not None:
            query = torch.cat([query, guide.query.expand(-1, self.heads, -1, -1).to(query.dtype)], -1)
            key = torch.cat([key, guide.key.to(key.dtype)], -1)
        seen = F.scaled_dot_product_attention(
            query,
            key,
            phase.apply(value),
            attn_mask=mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
            scale=1.0,
        )
        turned_back = phase.inverse().apply(seen)
        out: Tensor = self.project_out(turned_back.transpose(1, 2).reshape(batch, count, dim))
        return out

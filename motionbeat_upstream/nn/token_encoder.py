"""The token layers [P]: phase rotation, multi-head attention, LayerNorm, feed-forward.

The residual paths and the norm after the feed-forward part are ours [O].
"""

from __future__ import annotations

from torch import Tensor, nn

from motionbeat_upstream.config import TowerConfig
from motionbeat_upstream.nn.attention import PhaseRotatedAttention
from motionbeat_upstream.nn.contact_guidance import ContactGuide, Guide
from motionbeat_upstream.nn.feed_forward import feed_forward
from motionbeat_upstream.nn.phase_rotation import PhaseRotation, Rotation


class TokenEncoder(nn.Module):
    """N layers over beat-synchronous tokens.

    Adding one δ to every phase leaves the output unchanged, and so does, token for token, rolling
    a piece that repeats by whole bars.

    Args:
        config: of the tower.
        contact_harmonics: K of the contact guidance of each layer; None for none.
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
            mask: (B, N) true where there is a token.
            contact: (B, N) contact pulse in [0, 1]; for an encoder with guidance.

        Returns:
            Every layer's output, (B, N, D), 0 in padding.
        """
        place = _over_heads(self.rotation.position_rotation(phase, bar))
        turn = _over_heads(self.rotation.bar_rotation(phase))
        states = []
        guides: list[Guide | None] = [None] * len(self.layers)
        if contact is not None and len(self.guides):
            guides = [guide(phase, contact * mask) for guide in self.guides]
        for layer, guide in zip(self.layers, guides, strict=True):
            x = layer(x, place, turn, mask, guide) * mask[..., None]
            states.append(x)
        return states


class TokenLayer(nn.Module):
    """One layer; the norms stand after the parts, as in the paper's figure."""

    def __init__(self, dim: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.attention = PhaseRotatedAttention(dim, heads, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = feed_forward(dim, expansion, dropout)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, place: Rotation, turn: Rotation, mask: Tensor, guide: Guide | None = None
    ) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        x = self.attention_norm(x + self.dropout(self.attention(x, place, turn, mask, guide)))
        out: Tensor = self.feed_forward_norm(x + self.feed_forward(x))
        return out


def _over_heads(rotation: Rotation) -> Rotation:
    return Rotation(rotation.cos[:, None], rotation.sin[:, None])

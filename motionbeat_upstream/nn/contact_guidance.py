"""Contact guidance: attention favours tokens with foot contacts [P name, O formula].

In each head g · c_n · a(θ_n − θ_q) is added to the logit from query q to key n: c_n in [0, 1] is the contact
pulse at the key, g ≥ 0 is learned and starts small, and a ≥ 0 is a learned periodic function of the
relative bar phase. By Fejér and Riesz, every such function with harmonics up to K is the squared modulus
of a polynomial in e^{iθ}, |Σ_k p_k e^{ikθ}|². Its value at a difference of phases is an inner product
of cosines and sines at the query with cosines and sines at the key. So the guidance takes a few more
dimensions of queries and keys, and no (B, H, N, N) tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INITIAL_GAIN = 0.1
"""g before training."""


@dataclass(frozen=True)
class Guide:
    """Dimensions appended to queries and keys."""

    query: Tensor
    """(B, 1, N, 2K + 1)."""
    key: Tensor
    """(B, H, N, 2K + 1)."""


class ContactGuide(nn.Module):
    """g and a of one layer.

    Args:
        heads: H.
        harmonics: K, the highest harmonic of a, in cycles per bar.
    """

    def __init__(self, heads: int, harmonics: int) -> None:
        super().__init__()
        self.harmonics = harmonics
        # softplus(raw) = g.
        self.raw_gain = nn.Parameter(torch.full((heads,), INITIAL_GAIN).expm1().log())
        # Real and imaginary parts of p of each head. Initially a is nearly 1 at all phases.
        real = torch.zeros(heads, harmonics + 1)
        real[:, 0] = 1.0
        self.real = nn.Parameter(real + 0.1 * torch.randn_like(real))
        self.imaginary = nn.Parameter(0.1 * torch.randn(heads, harmonics + 1))

    @property
    def gain(self) -> Tensor:
        """(H,) g, at least 0."""
        return F.softplus(self.raw_gain)

    def series(self) -> tuple[Tensor, Tensor]:
        """(H, K + 1) coefficients of a(Δ) = Σ_k cos_k · cos kΔ + sin_k · sin kΔ, whose mean is 1."""
        power = (self.real.square() + self.imaginary.square()).sum(1).clamp(min=1e-6)
        cosines, sines = [], []
        for k in range(self.harmonics + 1):
            # Coefficient k of |p|² is the autocorrelation of p at lag k.
            low, high = slice(0, self.harmonics + 1 - k), slice(k, None)
            real = (self.real[:, high] * self.real[:, low]).sum(1)
            real = real + (self.imaginary[:, high] * self.imaginary[:, low]).sum(1)
            imaginary = (self.imaginary[:, high] * self.real[:, low]).sum(1)
            imaginary = imaginary - (self.real[:, high] * self.imaginary[:, low]).sum(1)
            factor = 1.0 if k == 0 else 2.0
            cosines.append(factor * real / power)
            sines.append(-factor * imaginary / power)
        return torch.stack(cosines, 1), torch.stack(sines, 1)

    def forward(self, phase: Tensor, contact: Tensor) -> Guide:
        """Compute the additional dimensions of queries and keys.

        Args:
            phase: (B, N) bar phase θ in radians.
            contact: (B, N) contact pulse of each token, in [0, 1].
        """
        order = torch.arange(self.harmonics + 1, device=phase.device, dtype=phase.dtype)
        angle = phase[..., None] * order
        cos, sin = torch.cos(angle), torch.sin(angle)
        even, odd = (part.to(phase.dtype)[None, :, None] for part in self.series())
        # cos k(θ_n − θ_q) = cos kθ_n cos kθ_q + sin kθ_n sin kθ_q, and likewise for the sine.
        on_cos = even * cos[:, None] + odd * sin[:, None]
        on_sin = even * sin[:, None] - odd * cos[:, None]
        strength = self.gain.to(phase.dtype)[None, :, None, None] * contact[:, None, :, None]
        # The sine of harmonic 0 is 0 everywhere.
        query = torch.cat([cos, sin[..., 1:]], -1)[:, None]
        return Guide(query, strength * torch.cat([on_cos, on_sin[..., 1:]], -1))

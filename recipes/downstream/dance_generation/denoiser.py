"""The denoiser: a transformer decoder over the frames of a slice, which hears the music by cross-attention.

After EDGE (Tseng et al., CVPR 2023): what is left of the noise level and of the whole music scales and shifts
every block's output (FiLM); frames of music and the noise level are what cross-attention looks at. [O] is
what lets a small model learn from few steps: the music's frames may also be added to the motion's own, so
that it need not learn first which frame is danced to which; a convolution may stand beside self-attention;
filters may pass on what is not noise. And [O] is that the model learns to go on from frames that it is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recipes.downstream.dance_generation.settings import ModelSettings

SPREADS = (1.0, 2.5, 6.0, 15.0)
"""Standard deviations of the filters in frames."""

REACH = 45
"""Frames to either side that a filter sees."""


class Filters(nn.Module):
    """What smoothing alone makes of a noisy slice of dance.

    Means over ever more frames, each with a weight for every number that the noise level decides on; and what
    the mean of all frames says of the body. A small decoder cannot pass on so many numbers to the digit: told
    a slice without any noise it still missed joints by 11 cm, and its dances trembled. Filters need only
    learn to change nothing, and leave to the decoder what they cannot know [O].

    Args:
        width: of the noise level's sinusoids.
        numbers: N, of a frame of motion.
    """

    kernels: Tensor

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        place = torch.arange(-REACH, REACH + 1)
        bells = torch.stack([torch.exp(-0.5 * (place / spread) ** 2) for spread in SPREADS])
        self.register_buffer("kernels", bells / bells.sum(1, keepdim=True), persistent=False)
        weights = nn.Linear(width, (len(bells) + 1) * numbers)
        body = nn.Linear(width, numbers)
        for last in (weights, body):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.Mish(), weights)
        self.whole = nn.Sequential(nn.Linear(numbers + width, width), nn.Mish(), body)

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """(B, T, N) of (B, T, N); nothing before training.

        Args:
            noisy: the slices.
            level: (B, W) sinusoids of the noise level.
        """
        count, frames, numbers = noisy.shape
        rows = noisy.transpose(1, 2).reshape(count * numbers, 1, frames)
        rows = nn.functional.pad(rows, (REACH, REACH), mode="replicate")
        smooth = nn.functional.conv1d(rows, self.kernels[:, None]).unflatten(0, (count, numbers))
        every = torch.cat([noisy.transpose(1, 2)[:, :, None], smooth], 2)
        weights = self.weigh(level).unflatten(-1, (numbers, -1))
        whole = self.whole(torch.cat([noisy.mean(1), level], -1))
        filtered: Tensor = torch.einsum("bnkt,bnk->btn", every, weights) + whole[:, None]
        return filtered


def sinusoids(places: Tensor, width: int) -> Tensor:
    """(..., W) sines and cosines of numbers, with periods from 2π to 10,000 · 2π (Vaswani et al. 2017)."""
    rates = torch.exp(-torch.arange(0, width, 2, device=places.device) * (math.log(10_000) / width))
    angles = places[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


LEVEL_TOKENS = 2
"""Tokens of the noise level beside the music's frames."""


class Film(nn.Module):
    """(B, T, W) scaled and shifted by what (B, W) says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.say = nn.Sequential(nn.Mish(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """See above."""
        scale, shift = self.say(told)[:, None].chunk(2, -1)
        filmed: Tensor = (1 + scale) * x + shift
        return filmed


class Neighbours(nn.Module):
    """(B, T, W) of what is nearby: a convolution of every number over ``reach`` frames, then a mixture."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(width, width, reach, padding=reach // 2, groups=width)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        mixed: Tensor = self.mix(nn.functional.gelu(self.near(x.transpose(1, 2)).transpose(1, 2)))
        return mixed


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; each after a norm, and told by :class:`Film`."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width, heads, dropout = settings.width, settings.heads, settings.dropout
        self.neighbours = Neighbours(width, settings.reach) if settings.reach else None
        self.itself = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.across = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.forth = nn.Sequential(
            nn.Linear(width, settings.hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(settings.hidden, width),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.films = nn.ModuleList(Film(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, told: Tensor) -> Tensor:
        """(B, T, W) after a look at itself and at (B, M, W); ``told`` is (B, W)."""
        y = self.norms[0](x)
        seen = self.itself(y, y, y, need_weights=False)[0]
        if self.neighbours is not None:
            seen = seen + self.neighbours(y)
        x = x + self.films[0](self.dropout(seen), told)
        y = self.norms[1](x)
        x = x + self.films[1](self.dropout(self.across(y, memory, memory, need_weights=False)[0]), told)
        y = self.dropout(self.forth(self.norms[2](x)))
        out: Tensor = x + self.films[2](y, told)
        return out


class Denoiser(nn.Module):
    """What a noisy slice was before the noise.

    Args:
        numbers: N, of a frame of motion.
        music_dim: D, of a frame of music.
        frames: T, of a slice.
        settings: W and all else.
    """

    def __init__(self, numbers: int, music_dim: int, frames: int, settings: ModelSettings) -> None:
        super().__init__()
        width = settings.width
        self.motion_in = nn.Linear(numbers, width)
        self.given = nn.Parameter(torch.randn(width) * 0.02)
        self.music_in = nn.Linear(music_dim, width)
        self.register_buffer("places", sinusoids(torch.arange(frames), width), persistent=False)
        self.music_encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width,
                settings.heads,
                settings.hidden,
                settings.dropout,
                "gelu",
                batch_first=True,
                norm_first=True,
            ),
            2,
            enable_nested_tensor=False,
        )
        self.music_whole = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.level = nn.Sequential(nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))
        self.level_tokens = nn.Linear(width, LEVEL_TOKENS * width)
        self.unheard = nn.Parameter(torch.randn(frames, width) * 0.02)
        self.unheard_whole = nn.Parameter(torch.randn(width) * 0.02)
        self.guess = nn.Linear(width, numbers)
        """What the sound alone says of the dance; it is trained, and nothing is danced by it."""
        self.memory_norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.layers))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, numbers))
        self.filters = Filters(width, numbers) if settings.filtered else None
        self.frame_sum = settings.frame_sum
        self.width = width

    def listen(self, music: Tensor) -> Tensor:
        """(B, T, W) that is heard in (B, T, D) frames of music, on the motion's clock."""
        sound: Tensor = self.music_encoder(self.music_in(music) + self.places)
        return sound

    def forward(self, noisy: Tensor, level: Tensor, sound: Tensor, heard: Tensor, given: Tensor) -> Tensor:
        """(B, T, N) without the noise.

        Args:
            noisy: (B, T, N); frames that are given are without noise.
            level: (B,) int64 steps of noise.
            sound: (B, T, W) of :meth:`listen`.
            heard: (B,) bool; where False the music is as if there were none.
            given: (B, T) bool, the frames to go on from or to arrive at.
        """
        whole = self.music_whole(sound.mean(1))
        sound = torch.where(heard[:, None, None], sound, self.unheard)
        whole = torch.where(heard[:, None], whole, self.unheard_whole)
        noise = sinusoids(level, self.width).to(noisy)
        hidden = self.level(noise)
        tokens = self.level_tokens(hidden).unflatten(-1, (LEVEL_TOKENS, self.width))
        memory = self.memory_norm(torch.cat([sound, tokens], 1))
        x = self.motion_in(noisy) + self.places + given[..., None] * self.given
        if self.frame_sum:
            x = x + sound
        for layer in self.decoder:
            x = layer(x, memory, hidden + whole)
        said: Tensor = self.out(x)
        return said if self.filters is None else said + self.filters(noisy, noise)

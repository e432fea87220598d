"""The denoiser: a transformer decoder over the frames of a slice, with cross-attention to the music.

As in EDGE (Tseng et al., CVPR 2023), the noise level and the mean of the music scale and shift the output of
every block (FiLM), and cross-attention is to frames of music and the noise level. Options for small models
[O]: frames of music are added to those of the motion, which gives their alignment; a convolution beside
self-attention; filters of the noisy slice. The model also learns to continue given frames [O].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recipes.downstream.dance_generation.settings import ModelSettings

FILTER_DEVIATIONS = (1.0, 2.5, 6.0, 15.0)
"""Standard deviations of the smoothing filters in frames."""

FILTER_RADIUS = 45
"""Radius of the filters in frames."""


class SmoothingFilters(nn.Module):
    """A weighted sum of smoothed versions of a noisy slice, added to the output of the decoder [O].

    The weights depend on the noise level; a further term depends on the mean of all frames. A small decoder
    alone does not reproduce its input: without noise its joints were off by 11 cm, and its dances trembled.

    Args:
        width: width of the sinusoids of the noise level.
        numbers: numbers per frame of motion, N.
    """

    kernels: Tensor

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        offset = torch.arange(-FILTER_RADIUS, FILTER_RADIUS + 1)
        gaussians = torch.stack(
            [torch.exp(-0.5 * (offset / deviation) ** 2) for deviation in FILTER_DEVIATIONS]
        )
        self.register_buffer("kernels", gaussians / gaussians.sum(1, keepdim=True), persistent=False)
        weights = nn.Linear(width, (len(gaussians) + 1) * numbers)
        body = nn.Linear(width, numbers)
        for last in (weights, body):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.Mish(), weights)
        self.whole = nn.Sequential(nn.Linear(numbers + width, width), nn.Mish(), body)

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """(B, T, N) filtered slices; 0 before training.

        Args:
            noisy: (B, T, N) noisy slices.
            level: (B, W) sinusoids of the noise level.
        """
        count, frames, numbers = noisy.shape
        rows = noisy.transpose(1, 2).reshape(count * numbers, 1, frames)
        rows = nn.functional.pad(rows, (FILTER_RADIUS, FILTER_RADIUS), mode="replicate")
        smooth = nn.functional.conv1d(rows, self.kernels[:, None]).unflatten(0, (count, numbers))
        signals = torch.cat([noisy.transpose(1, 2)[:, :, None], smooth], 2)
        weights = self.weigh(level).unflatten(-1, (numbers, -1))
        whole = self.whole(torch.cat([noisy.mean(1), level], -1))
        filtered: Tensor = torch.einsum("bnkt,bnk->btn", signals, weights) + whole[:, None]
        return filtered


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """(..., W) sines and cosines of positions, with periods from 2π to 10,000 · 2π (Vaswani et al. 2017)."""
    rates = torch.exp(-torch.arange(0, width, 2, device=positions.device) * (math.log(10_000) / width))
    angles = positions[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


LEVEL_TOKENS = 2
"""Number of tokens of the noise level."""


class Film(nn.Module):
    """FiLM: scales and shifts (B, T, W) depending on a (B, W) condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.say = nn.Sequential(nn.Mish(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, T, W) from (B, T, W) and (B, W)."""
        scale, shift = self.say(condition)[:, None].chunk(2, -1)
        filmed: Tensor = (1 + scale) * x + shift
        return filmed


class LocalConvolution(nn.Module):
    """A depthwise convolution over ``reach`` frames, then a linear layer."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(width, width, reach, padding=reach // 2, groups=width)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) from (B, T, W)."""
        mixed: Tensor = self.mix(nn.functional.gelu(self.near(x.transpose(1, 2)).transpose(1, 2)))
        return mixed


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward block, each with a norm before and :class:`Film`
    after."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width, heads, dropout = settings.width, settings.heads, settings.dropout
        self.neighbours = LocalConvolution(width, settings.reach) if settings.reach else None
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

    def forward(self, x: Tensor, memory: Tensor, condition: Tensor) -> Tensor:
        """(B, T, W) from (B, T, W), memory (B, M, W) and condition (B, W)."""
        y = self.norms[0](x)
        attended = self.itself(y, y, y, need_weights=False)[0]
        if self.neighbours is not None:
            attended = attended + self.neighbours(y)
        x = x + self.films[0](self.dropout(attended), condition)
        y = self.norms[1](x)
        x = x + self.films[1](self.dropout(self.across(y, memory, memory, need_weights=False)[0]), condition)
        y = self.dropout(self.forth(self.norms[2](x)))
        out: Tensor = x + self.films[2](y, condition)
        return out


class Denoiser(nn.Module):
    """Predicts the clean slice from a noisy one.

    Args:
        numbers: numbers per frame of motion, N.
        music_dim: width of the music features, D.
        frames: frames of a slice, T.
        settings: width W and other sizes.
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
        """Predicts the dance from the music alone; used in training only."""
        self.memory_norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.layers))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, numbers))
        self.filters = SmoothingFilters(width, numbers) if settings.filtered else None
        self.frame_sum = settings.frame_sum
        self.width = width

    def encode_music(self, music: Tensor) -> Tensor:
        """(B, T, W) encodings of (B, T, D) music features at the frames of the motion."""
        sound: Tensor = self.music_encoder(self.music_in(music) + self.places)
        return sound

    def forward(self, noisy: Tensor, level: Tensor, sound: Tensor, heard: Tensor, given: Tensor) -> Tensor:
        """(B, T, N) predictions of the clean slices.

        Args:
            noisy: (B, T, N) noisy slices; given frames are without noise.
            level: (B,) int64 noise levels.
            sound: (B, T, W) encodings of the music, see :meth:`encode_music`.
            heard: (B,) bool; where False the music is masked.
            given: (B, T) bool, frames whose clean values are given.
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
        predicted: Tensor = self.out(x)
        return predicted if self.filters is None else predicted + self.filters(noisy, noise)

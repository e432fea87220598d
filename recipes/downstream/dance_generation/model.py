"""The diffusion model: standardisation, losses and sampling."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from recipes.downstream.dance_generation.body_numbers import CONTACT_JOINTS, CONTACTS, FPS, BodyNumbers
from recipes.downstream.dance_generation.denoiser import Denoiser
from recipes.downstream.dance_generation.settings import TaskSettings

MIN_DEVIATION = 0.02
"""Minimum standard deviation for standardising body numbers."""

MAX_DEVIATIONS = 5.0
"""Sampled numbers are clamped to this many standard deviations (static thresholding, Saharia et al. 2022). Of
2,400 constructed slices few reach 5, and none 6.4. Without it two of 40 long dances diverged [O]."""

CONTACT_THRESHOLD = 0.95
"""Threshold of a contact in the loss on the feet (EDGE's rule)."""

EASE_HALF_LIFE = 3.0
"""Frames after which the difference at a given frame is halved; a tenth of a second."""


class DanceModel(nn.Module):
    """A diffusion model of slices of dance, conditioned on music.

    Args:
        numbers: representation of the body.
        music_dim: width of the music features, D.
        settings: settings of the task.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, numbers: BodyNumbers, music_dim: int, settings: TaskSettings) -> None:
        super().__init__()
        self.numbers = numbers
        self.frames = round(settings.datarc.slice_seconds * FPS)
        self.settings = settings.diffusionrc
        self.register_buffer("mean", torch.zeros(numbers.size))
        self.register_buffer("spread", torch.ones(numbers.size))
        # Standardises the features of any upstream, without learned parameters.
        self.music_scale = nn.BatchNorm1d(music_dim, affine=False, momentum=0.02)
        self.denoiser = Denoiser(numbers.size, music_dim, self.frames, settings.modelrc)
        average = get_ema_multi_avg_fn(settings.modelrc.average_decay)
        self.averaged = AveragedModel(self.denoiser, multi_avg_fn=average)
        self.averaged.requires_grad_(False)
        schedule: Any = DDIMScheduler  # diffusers' schedulers have no types
        self.schedule = schedule(
            num_train_timesteps=self.settings.levels,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="sample",
            clip_sample=False,
            timestep_spacing="trailing",
        )

    def standardise(self, slices: Tensor) -> None:
        """Set mean and deviation of every number from (S, T, N) slices; contacts become -1 and 1."""
        flat = slices.flatten(0, 1)
        self.mean.copy_(flat.mean(0))
        self.spread.copy_(flat.std(0).clamp(min=MIN_DEVIATION))
        self.mean[CONTACTS], self.spread[CONTACTS] = 0.5, 0.5

    @property
    def is_standardised(self) -> bool:
        """Whether mean and deviation are set, from data or from a checkpoint."""
        return bool((self.spread != 1).any())

    def losses(
        self, slices: Tensor, music: Tensor, generator: torch.Generator | None = None, averaged: bool = False
    ) -> dict[str, Tensor]:
        """The losses and their weighted sum, ``loss``.

        Args:
            slices: (S, T, N) body numbers.
            music: (S, T, D) music features at the same frames.
            generator: random generator on the CPU; None for the global one.
            averaged: whether to use the averaged weights.
        """
        clean = (slices - self.mean) / self.spread
        count, device = len(clean), clean.device
        levels = torch.randint(self.settings.levels, (self.settings.level_draws, count), generator=generator)
        level = levels.amax(0).to(device)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        heard = (torch.rand(count, generator=generator) >= self.settings.unheard).to(device)
        given = random_given_frames(count, self.frames, self.settings.given, generator).to(device)
        noisy = torch.where(given[..., None], clean, self.schedule.add_noise(clean, noise, level))
        denoiser = self._denoiser(averaged)
        sound = denoiser.encode_music(self._scaled(music))
        predicted = denoiser(noisy, level, sound, heard, given)
        bodies = predicted * self.spread + self.mean
        joints, reference = self.numbers.joints(bodies), self.numbers.joints(slices)
        standing = (bodies[:, :-1, CONTACTS] > CONTACT_THRESHOLD).detach()
        feet = joints[..., CONTACT_JOINTS, :]
        drift = torch.where(standing[..., None], feet[:, 1:] - feet[:, :-1], 0.0)
        mse = nn.functional.mse_loss
        zero = torch.zeros((), device=device)
        parts = {
            "clean": mse(predicted, clean),
            "velocity": mse(predicted.diff(dim=1), clean.diff(dim=1)),
            "joints": mse(joints, reference),
            "contact": drift.square().mean(),
            "guess": mse(denoiser.guess(sound), clean) if self.settings.guess else zero,
        }
        weights = asdict(self.settings)
        total = sum((weights[name] * part for name, part in parts.items()), zero)
        return {**parts, "loss": total}

    def average(self) -> None:
        """Update the moving average of the weights."""
        self.averaged.update_parameters(self.denoiser)

    @torch.no_grad()
    def sample(
        self,
        music: Tensor,
        generator: torch.Generator,
        given: Tensor | None = None,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Sample slices of dance with DDIM and classifier-free guidance.

        At every step, given numbers replace those of the predicted clean slice [O; EDGE inserts them with
        noise]. Completely given frames are also an input of the denoiser.

        Args:
            music: (B, T, D) music features at the frames of the slices.
            generator: random generator on the CPU.
            given: (B, T, N) given numbers; NaN where unknown.
            guidance: see :class:`~recipes.downstream.dance_generation.settings.DiffusionSettings`.
            steps: see the same class.

        Returns:
            (B, T, N) body numbers; contacts are approximately in [0, 1].
        """
        self.schedule.set_timesteps(steps or self.settings.steps)
        strength = self.settings.guidance if guidance is None else guidance
        size, device = len(music), music.device
        sound = self._denoiser(averaged=True).encode_music(self._scaled(music))
        heard = torch.ones(size, dtype=torch.bool, device=device)
        x = torch.randn((size, self.frames, self.numbers.size), generator=generator).to(sound)
        given = torch.full_like(x, torch.nan) if given is None else given
        known = ~given.isnan()
        values, whole = (given - self.mean) / self.spread, known.all(-1)
        for level in self.schedule.timesteps:
            x = torch.where(whole[..., None], values, x)
            clean = self._guided(x, level.to(device).expand(size), sound, heard, whole, strength)
            clean = ease_to_given(clean.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS), values, whole)
            x = self.schedule.step(torch.where(known, values, clean), int(level), x).prev_sample
        return torch.where(known, given, x * self.spread + self.mean)

    def _guided(
        self, x: Tensor, level: Tensor, sound: Tensor, heard: Tensor, given: Tensor, strength: float
    ) -> Tensor:
        denoiser = self._denoiser(averaged=True)
        if strength in (0.0, 1.0):
            predicted: Tensor = denoiser(x, level, sound, heard & (strength == 1.0), given)
            return predicted
        x, level, sound, given = (torch.cat([part, part]) for part in (x, level, sound, given))
        both: Tensor = denoiser(x, level, sound, torch.cat([heard, ~heard]), given)
        conditional, unconditional = both.chunk(2)
        return unconditional + strength * (conditional - unconditional)

    def _denoiser(self, averaged: bool) -> Denoiser:
        denoiser = self.averaged.module if averaged else self.denoiser
        assert isinstance(denoiser, Denoiser)
        return denoiser

    def _scaled(self, music: Tensor) -> Tensor:
        scaled: Tensor = self.music_scale(music.transpose(1, 2)).transpose(1, 2)
        return scaled


def random_given_frames(
    count: int, frames: int, share: float, generator: torch.Generator | None = None
) -> Tensor:
    """(S, T) bool masks of given frames: in a share of the slices 1 to T/2 frames at the start, and in a
    quarter of these as many at the end.
    """
    chance = torch.rand(2, count, 1, generator=generator)
    length = torch.randint(1, frames // 2 + 1, (count, 1), generator=generator)
    frame = torch.arange(frames)
    at_start = (chance[0] < share) & (frame < length)
    at_end = (chance[0] < share) & (chance[1] < 0.25) & (frame >= frames - length)
    given: Tensor = at_start | at_end
    return given


def ease_to_given(predicted: Tensor, values: Tensor, given: Tensor) -> Tensor:
    """(B, T, N) predictions without a jump at the end of given frames.

    The difference between value and prediction at the nearest given frame is added with a weight that decays
    with the distance. A slice without given frames does not change. This is inertialisation (Bollo,
    "Inertialization: High-Performance Animation Transitions in Gears of War", GDC 2018) at every step of
    sampling [O].

    Args:
        predicted: (B, T, N) predictions.
        values: (B, T, N) values of given frames; others are ignored.
        given: (B, T) bool, given frames.
    """
    frames = torch.arange(given.shape[1], device=given.device)
    distances = (frames[:, None] - frames).abs().to(predicted.dtype)  # (T, T)
    distance, nearest = torch.where(given[:, None, :], distances, torch.inf).min(-1)
    offset = torch.where(given[..., None], values - predicted, 0.0)
    offset = offset.gather(1, nearest[..., None].expand_as(predicted))
    eased: Tensor = predicted + offset * torch.exp2(-distance / EASE_HALF_LIFE)[..., None]
    return eased

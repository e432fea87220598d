"""The model as a whole: a body's numbers standardised, music standardised, noise in, noise out."""

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

LEAST_SPREAD = 0.02
"""Deviations below it (metres, or of rotation's numbers) are not blown up."""

FARTHEST = 5.0
"""Deviations that a number of a drawn dance is from its mean at most (static thresholding, Saharia et al.
2022). Of 2,400 constructed slices few reach 5 anywhere, and none 6.4. Without it two of 40 dances, each
slice going on from the last, ran away for ever [O]."""

STANDS = 0.95
"""A contact above it is one, for the loss on the feet (EDGE's rule)."""

HALF_LIFE = 3.0
"""Frames after which half of the difference to a given frame is left: a tenth of a second."""


class DanceModel(nn.Module):
    """A diffusion model of slices of dance, given music, at its random initialisation.

    Args:
        numbers: the layout of a body.
        music_dim: D, of the music's features.
        settings: of the task.
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
        # Features of any upstream come to one scale, as they do in a batch; nothing is learned of it.
        self.music_scale = nn.BatchNorm1d(music_dim, affine=False, momentum=0.02)
        self.denoiser = Denoiser(numbers.size, music_dim, self.frames, settings.modelrc)
        average = get_ema_multi_avg_fn(settings.modelrc.average_decay)
        self.averaged = AveragedModel(self.denoiser, multi_avg_fn=average)
        self.averaged.requires_grad_(False)
        schedule: Any = DDIMScheduler  # diffusers' schedulers come without types
        self.schedule = schedule(
            num_train_timesteps=self.settings.levels,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="sample",
            clip_sample=False,
            timestep_spacing="trailing",
        )

    def standardise(self, slices: Tensor) -> None:
        """Take mean and deviation of every number from (S, T, N) slices; contacts become -1 and 1."""
        flat = slices.flatten(0, 1)
        self.mean.copy_(flat.mean(0))
        self.spread.copy_(flat.std(0).clamp(min=LEAST_SPREAD))
        self.mean[CONTACTS], self.spread[CONTACTS] = 0.5, 0.5

    @property
    def is_standardised(self) -> bool:
        """Whether it knows what the body's numbers are on average, from data or from a checkpoint."""
        return bool((self.spread != 1).any())

    def losses(
        self, slices: Tensor, music: Tensor, generator: torch.Generator | None = None, averaged: bool = False
    ) -> dict[str, Tensor]:
        """The parts of the loss and their weighted sum, ``loss``.

        Args:
            slices: (S, T, N) numbers.
            music: (S, T, D) features at the same frames.
            generator: of the noise, on the CPU; None takes the global one.
            averaged: whether the averaged weights are asked.
        """
        clean = (slices - self.mean) / self.spread
        count, device = len(clean), clean.device
        draws = torch.randint(self.settings.levels, (self.settings.level_draws, count), generator=generator)
        level = draws.amax(0).to(device)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        heard = (torch.rand(count, generator=generator) >= self.settings.unheard).to(device)
        given = given_frames(count, self.frames, self.settings.given, generator).to(device)
        noisy = torch.where(given[..., None], clean, self.schedule.add_noise(clean, noise, level))
        denoiser = self._denoiser(averaged)
        sound = denoiser.listen(self._scaled(music))
        said = denoiser(noisy, level, sound, heard, given)
        bodies = said * self.spread + self.mean
        told, seen = self.numbers.joints(bodies), self.numbers.joints(slices)
        standing = (bodies[:, :-1, CONTACTS] > STANDS).detach()
        feet = told[..., CONTACT_JOINTS, :]
        drift = torch.where(standing[..., None], feet[:, 1:] - feet[:, :-1], 0.0)
        squared = nn.functional.mse_loss
        nothing = torch.zeros((), device=device)
        parts = {
            "clean": squared(said, clean),
            "velocity": squared(said.diff(dim=1), clean.diff(dim=1)),
            "joints": squared(told, seen),
            "contact": drift.square().mean(),
            "guess": squared(denoiser.guess(sound), clean) if self.settings.guess else nothing,
        }
        weights = asdict(self.settings)
        total = sum((weights[name] * part for name, part in parts.items()), nothing)
        return {**parts, "loss": total}

    def average(self) -> None:
        """Take the weights as they are into the moving average."""
        self.averaged.update_parameters(self.denoiser)

    @torch.no_grad()
    def draw(
        self,
        music: Tensor,
        generator: torch.Generator,
        given: Tensor | None = None,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Slices of dance, by DDIM with classifier-free guidance.

        At every step, given numbers take the place of what is guessed of the clean slice [O; EDGE puts them
        in with noise]; frames that are given whole are also told to the denoiser, which was trained to go on
        from such.

        Args:
            music: (B, T, D) features at the frames of the slices.
            generator: of the noise that they begin from, on the CPU: the same one gives the same dance.
            given: (B, T, N) numbers that the slices are to have; NaN where any will do.
            guidance: see :class:`~recipes.downstream.dance_generation.settings.DiffusionSettings`.
            steps: the same.

        Returns:
            (B, T, N); contacts in [0, 1], but for noise.
        """
        self.schedule.set_timesteps(steps or self.settings.steps)
        strength = self.settings.guidance if guidance is None else guidance
        size, device = len(music), music.device
        sound = self._denoiser(averaged=True).listen(self._scaled(music))
        heard = torch.ones(size, dtype=torch.bool, device=device)
        x = torch.randn((size, self.frames, self.numbers.size), generator=generator).to(sound)
        given = torch.full_like(x, torch.nan) if given is None else given
        known = ~given.isnan()
        values, whole = (given - self.mean) / self.spread, known.all(-1)
        for level in self.schedule.timesteps:
            x = torch.where(whole[..., None], values, x)
            clean = self._guided(x, level.to(device).expand(size), sound, heard, whole, strength)
            clean = eased(clean.clamp(-FARTHEST, FARTHEST), values, whole)
            x = self.schedule.step(torch.where(known, values, clean), int(level), x).prev_sample
        return torch.where(known, given, x * self.spread + self.mean)

    def _guided(
        self, x: Tensor, level: Tensor, sound: Tensor, heard: Tensor, given: Tensor, strength: float
    ) -> Tensor:
        denoiser = self._denoiser(averaged=True)
        if strength in (0.0, 1.0):
            only: Tensor = denoiser(x, level, sound, heard & (strength == 1.0), given)
            return only
        x, level, sound, given = (torch.cat([part, part]) for part in (x, level, sound, given))
        said: Tensor = denoiser(x, level, sound, torch.cat([heard, ~heard]), given)
        listening, deaf = said.chunk(2)
        return deaf + strength * (listening - deaf)

    def _denoiser(self, averaged: bool) -> Denoiser:
        denoiser = self.averaged.module if averaged else self.denoiser
        assert isinstance(denoiser, Denoiser)
        return denoiser

    def _scaled(self, music: Tensor) -> Tensor:
        scaled: Tensor = self.music_scale(music.transpose(1, 2)).transpose(1, 2)
        return scaled


def given_frames(count: int, frames: int, share: float, generator: torch.Generator | None = None) -> Tensor:
    """(S, T) bool: in a share of the slices 1 to T/2 frames at the beginning, in a quarter of these as many
    at the end too.
    """
    draw = torch.rand(2, count, 1, generator=generator)
    length = torch.randint(1, frames // 2 + 1, (count, 1), generator=generator)
    place = torch.arange(frames)
    begins = (draw[0] < share) & (place < length)
    ends = (draw[0] < share) & (draw[1] < 0.25) & (place >= frames - length)
    either: Tensor = begins | ends
    return either


def eased(predicted: Tensor, values: Tensor, given: Tensor) -> Tensor:
    """(B, T, N) predictions, led to what is given, so that there is no jump where given frames end.

    Each frame is moved by the difference between value and prediction at the nearest given frame, the less
    the farther it is. A slice without given frames stays as it is. So do game engines go from one motion to
    another (inertialisation, Bollo, "Inertialization: High-Performance Animation Transitions in Gears of
    War", GDC 2018), here at every step of drawing [O].

    Args:
        predicted: (B, T, N).
        values: (B, T, N); what other frames hold is not looked at.
        given: (B, T) bool.
    """
    frames = torch.arange(given.shape[1], device=given.device)
    apart = (frames[:, None] - frames).abs().to(predicted.dtype)  # (T, T): from each to each
    distance, nearest = torch.where(given[:, None, :], apart, torch.inf).min(-1)
    off = torch.where(given[..., None], values - predicted, 0.0)
    off = off.gather(1, nearest[..., None].expand_as(predicted))
    moved: Tensor = predicted + off * torch.exp2(-distance / HALF_LIFE)[..., None]
    return moved

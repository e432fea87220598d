"""The diffusion model: what it hears, what is given, and dances longer than a slice."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motion_data.skeleton import INDEX
from recipes.downstream.dance_generation.body_numbers import CONTACT_JOINTS, CONTACTS, JointNumbers, Placement
from recipes.downstream.dance_generation.denoiser import SmoothingFilters, sinusoids
from recipes.downstream.dance_generation.model import (
    MAX_DEVIATIONS,
    DanceModel,
    ease_to_given,
    random_given_frames,
)
from recipes.downstream.dance_generation.slices import Slices, join
from recipes.downstream.dance_generation.song_dance import generate_dance
from tests.dances import FRAMES, constructed, music_like, small_model, small_settings


def slices_of(seconds: float = 4.0, count: int = 4) -> Tensor:
    numbers = JointNumbers()
    joints = torch.from_numpy(constructed(seconds))
    starts = range(0, len(joints) - FRAMES, max(1, (len(joints) - FRAMES) // count))
    whole = numbers.encode(torch.stack([joints[start : start + FRAMES] for start in starts]), None)
    return numbers.move(whole, numbers.placement(whole), to_origin=True)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_what_is_not_heard_changes_nothing_and_what_is_heard_does() -> None:
    model = small_model()
    noisy, level = torch.randn(2, FRAMES, 70, generator=seeded()), torch.tensor([3, 700])
    deaf, heard = torch.tensor([False, False]), torch.tensor([True, True])
    with torch.no_grad():
        one, other = (model.denoiser.encode_music(music_like(model, seed=seed)) for seed in (0, 1))
    free = torch.zeros(2, FRAMES, dtype=torch.bool)
    with torch.no_grad():
        silent = [model.denoiser(noisy, level, sound, deaf, free) for sound in (one, other)]
        loud = [model.denoiser(noisy, level, sound, heard, free) for sound in (one, other)]
    torch.testing.assert_close(silent[0], silent[1], atol=0, rtol=0)
    assert (loud[0] - loud[1]).abs().max() > 1e-3
    # A slice does not depend on what else is in the batch.
    with torch.no_grad():
        alone = model.denoiser(noisy[:1], level[:1], one[:1], heard[:1], free[:1])
    torch.testing.assert_close(alone, loud[0][:1], atol=1e-5, rtol=0)


@given(seed=st.integers(0, 99), frames=st.integers(1, 60))
@settings(max_examples=20, deadline=None)
def test_filters_say_nothing_at_first_and_leave_what_never_changes_as_steady(seed: int, frames: int) -> None:
    torch.manual_seed(seed)
    filters = SmoothingFilters(8, 5)
    level, noisy = sinusoids(torch.tensor([3, 700]), 8), torch.randn(2, frames, 5)
    assert not filters(noisy, level).any()
    for value in filters.parameters():
        torch.nn.init.normal_(value)
    with torch.no_grad():
        said = filters(noisy, level)
        # Of a slice alone, and backwards.
        torch.testing.assert_close(filters(noisy[1:], level[1:]), said[1:], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(filters(noisy.flip(1), level), said.flip(1), atol=1e-4, rtol=1e-4)
        steady = filters(noisy[:, :1].expand(2, frames, 5), level)
    torch.testing.assert_close(steady, steady[:, :1].expand(2, frames, 5), atol=1e-3, rtol=1e-4)


def test_the_parts_of_the_loss_are_those_of_their_definitions() -> None:
    model = small_model(unheard=0.0)
    slices = slices_of()
    model.standardise(slices)
    assert model.mean[CONTACTS].tolist() == [0.5] * 4
    music = music_like(model, len(slices))
    parts = model.losses(slices, music, seeded())

    generator = seeded()
    clean = (slices - model.mean) / model.spread
    draws = torch.randint(
        model.settings.levels, (model.settings.level_draws, len(slices)), generator=generator
    )
    level = draws.amax(0)
    noise = torch.randn(clean.shape, generator=generator)
    torch.rand(len(slices), generator=generator)  # who hears: all of them here
    kept = torch.cos((level / model.settings.levels + 0.008) / 1.008 * torch.pi / 2) ** 2
    kept = kept[:, None, None]  # the cosine schedule, to a step
    noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    torch.testing.assert_close(model.schedule.add_noise(clean, noise, level), noisy, atol=0.02, rtol=0)
    given = random_given_frames(len(slices), FRAMES, model.settings.given, generator)
    seen = torch.where(given[..., None], clean, model.schedule.add_noise(clean, noise, level))
    assert 0 < given.sum() < given.numel()
    with torch.no_grad():
        heard = torch.ones(len(slices), dtype=torch.bool)
        sound = model.denoiser.encode_music(model._scaled(music))
        said = model.denoiser(seen, level, sound, heard, given)
        guess = model.denoiser.guess(sound)
    bodies = (said * model.spread + model.mean).numpy()
    joints = model.numbers.joints(torch.from_numpy(bodies)).numpy()
    contact = 0.0
    for one in range(len(slices)):
        for frame in range(FRAMES - 1):
            for foot, joint in enumerate(CONTACT_JOINTS):
                if bodies[one, frame, foot] > 0.95:
                    step = joints[one, frame + 1, joint] - joints[one, frame, joint]
                    contact += float((step**2).sum())
    expected = {
        "clean": float(((said - clean) ** 2).mean()),
        "velocity": float(((said[:, 1:] - said[:, :-1] - clean[:, 1:] + clean[:, :-1]) ** 2).mean()),
        "joints": float(((torch.from_numpy(joints) - model.numbers.joints(slices)) ** 2).mean()),
        "contact": contact / (len(slices) * (FRAMES - 1) * len(CONTACT_JOINTS) * 3),
        "guess": float(((guess - clean) ** 2).mean()),
    }
    for name, value in expected.items():
        assert parts[name].item() == pytest.approx(value, rel=1e-4, abs=1e-7), name
    weights = vars(model.settings)
    total = sum(weights[name] * value for name, value in expected.items())
    assert parts["loss"].item() == pytest.approx(total, rel=1e-4)


def test_what_is_given_in_training_is_a_beginning_and_sometimes_an_end() -> None:
    given = random_given_frames(4000, FRAMES, 0.5, seeded())
    begun, ended = given[:, 0], given[:, -1]
    assert begun.float().mean() == pytest.approx(0.5, abs=0.03)
    assert ended.float().mean() == pytest.approx(0.125, abs=0.02)
    assert not (ended & ~begun).any()
    lengths = given[begun & ~ended].sum(1)
    assert lengths.min() == 1
    assert lengths.max() == FRAMES // 2
    assert (given.long().diff(dim=1) == 1).sum(1).max() == 1
    assert not random_given_frames(9, FRAMES, 0.0).any()


def test_the_model_learns_and_its_average_follows() -> None:
    model = small_model().train()
    slices = slices_of()
    model.standardise(slices)
    music = music_like(model, len(slices))
    optimizer = torch.optim.Adam(model.denoiser.parameters(), 3e-3)
    before = model.losses(slices, music, seeded(1))["loss"].item()
    for step in range(60):
        optimizer.zero_grad()
        model.losses(slices, music, seeded(step + 2))["loss"].backward()
        optimizer.step()
        model.average()
    model.eval()
    assert model.losses(slices, music, seeded(1))["loss"].item() < 0.7 * before
    own = dict(model.denoiser.named_parameters())
    averaged = dict(model.averaged.module.named_parameters())
    gaps = [(own[name] - averaged[name]).abs().max().item() for name in own]
    assert max(gaps) > 0
    assert all(not parameter.requires_grad for parameter in averaged.values())


@given(seed=st.integers(0, 999), first=st.integers(1, 9), last=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_what_is_said_is_led_to_what_is_given(seed: int, first: int, last: int) -> None:
    generator = seeded(seed)
    said, values = (torch.randn(2, FRAMES, 5, generator=generator) for _ in range(2))
    given = torch.zeros(2, FRAMES, dtype=torch.bool)
    given[0, :first] = True
    given[0, FRAMES - last :] = True
    moved = ease_to_given(said, values, given)
    torch.testing.assert_close(moved[1], said[1], atol=0, rtol=0)
    torch.testing.assert_close(moved[0, given[0]], values[0, given[0]], atol=1e-6, rtol=0)
    for frame in range(FRAMES):
        near = min(np.flatnonzero(given[0].numpy()), key=lambda other, here=frame: abs(other - here))  # type: ignore[misc]
        share = 0.5 ** (abs(near - frame) / 3)
        expected = said[0, frame] + share * (values[0, near] - said[0, near])
        torch.testing.assert_close(moved[0, frame], expected, atol=1e-5, rtol=0)


def test_a_seed_is_a_dance() -> None:
    model = small_model()
    music = music_like(model)
    one, same, other = (model.sample(music, seeded(seed)) for seed in (0, 0, 1))
    torch.testing.assert_close(one, same, atol=0, rtol=0)
    assert (one - other).abs().max() > 0.01


def test_a_dance_stays_within_what_bodies_do_however_wildly_it_is_guided() -> None:
    model = small_model()
    model.standardise(slices_of())
    with torch.no_grad():
        for value in model.averaged.parameters():
            value.mul_(30)
    music = music_like(model, frames=FRAMES)
    drawn = model.sample(music, seeded(), guidance=50.0)
    assert (((drawn - model.mean) / model.spread).abs() <= MAX_DEVIATIONS + 1e-3).all()


def test_without_guidance_nobody_listens() -> None:
    model = small_model()
    deaf = [model.sample(music_like(model, seed=seed), seeded(), guidance=0.0) for seed in (0, 1)]
    torch.testing.assert_close(deaf[0], deaf[1], atol=0, rtol=0)
    music = music_like(model)
    plain = model.sample(music, seeded(), guidance=1.0)
    twice = model.sample(music, seeded(), guidance=2.0)
    assert (plain - twice).abs().max() > 1e-4


@given(seed=st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_what_is_given_stands_in_the_result_to_the_digit(seed: int) -> None:
    model = small_model()
    values = torch.randn(2, FRAMES, 70, generator=seeded(seed))
    frames, numbers = (torch.zeros_like(values, dtype=torch.bool) for _ in range(2))
    frames[:, [0, 1, FRAMES - 1]] = True
    numbers[..., 4:10] = True
    for known in (frames, numbers, frames | numbers):
        drawn = model.sample(music_like(model), seeded(), torch.where(known, values, torch.nan))
        assert drawn.isfinite().all()
        assert torch.equal(drawn[known], values[known])
        free = model.sample(music_like(model), seeded())
        assert (drawn[~known] - free[~known]).abs().max() > 0


class ByRule(DanceModel, ABC):
    """Dances by a rule of its own, whatever the noise."""

    @abstractmethod
    def danced(self, size: int, given: Tensor | None) -> Tensor:
        """(size, T, N)."""

    def sample(
        self,
        music: Tensor,
        generator: torch.Generator,
        given: Tensor | None = None,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Tensor:
        return self.danced(len(music), given)

    def standing(self, size: int, height: float = 1.0) -> Tensor:
        """(size, T, N) of one pose at the origin, so many times as tall."""
        joints = torch.from_numpy(constructed(1.0))[0].expand(size, self.frames, -1, -1)
        whole = self.numbers.encode(height * joints, None)
        return self.numbers.move(whole, self.numbers.placement(whole), to_origin=True)


class Walker(ByRule):
    """Walks ahead at a pace of its own and turns: what is given it goes on from."""

    def danced(self, size: int, given: Tensor | None) -> Tensor:
        whole = self.standing(size)
        parts = []
        for frame in range(self.frames):
            angle = torch.full((size,), 0.02 * frame)
            ground = torch.stack([torch.sin(angle), 1 - torch.cos(angle)], 1) * 2.0
            place = Placement(ground[:, [1, 0]], angle)
            parts.append(self.numbers.move(whole[:, frame : frame + 1], place, to_origin=False))
        slices = torch.cat(parts, 1)
        if given is not None:
            # What it would do is what it is asked to go on from: half a second.
            assert given.isfinite().all(-1).tolist() == [[frame < 15 for frame in range(FRAMES)]] * size
            torch.testing.assert_close(slices[:, :15], given[:, :15], atol=1e-3, rtol=0)
        return slices


def test_slices_are_joined_where_the_dancer_stands() -> None:
    plain = small_model()
    model = Walker(plain.numbers, 3, small_settings())
    heard: list[tuple[int, int]] = []

    def music(begin: int, end: int) -> Tensor:
        heard.append((begin, end))
        return torch.zeros(2, end - begin, 3)

    parts = list(generate_dance(model, music, 72, seeded()))
    assert heard == [(0, 30), (15, 45), (30, 60), (45, 75)]
    assert [part.shape[1] for part in parts] == [30, 15, 15, 12]
    pelvis = model.numbers.joints(torch.cat(parts, 1))[:, :, 0].numpy()
    # A circle, all the way round: every step is as long as the one before, and turns by as much.
    steps = np.diff(pelvis[..., [0, 2]], axis=1)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=-1), 0.04, atol=1e-3)
    turns = np.unwrap(np.arctan2(steps[..., 0], steps[..., 1]), axis=1)
    np.testing.assert_allclose(np.diff(turns, axis=1), 0.02, atol=2e-3)


class Grower(ByRule):
    """Stands, a tenth taller than what it is given."""

    def danced(self, size: int, given: Tensor | None) -> Tensor:
        if given is None:
            return self.standing(size)
        return self.standing(size, 1.1 * self.tall(given) / self.tall(self.standing(size)))

    def tall(self, numbers: Tensor) -> float:
        """Metres of the head in the first frame."""
        return self.numbers.joints(numbers)[0, 0, INDEX["head"], 1].item()


def test_a_dancer_keeps_the_body_of_the_first_slice() -> None:
    plain = small_model()
    model = Grower(plain.numbers, 3, small_settings())
    parts = list(generate_dance(model, lambda begin, end: torch.zeros(1, end - begin, 3), 300, seeded()))
    heads = [model.numbers.joints(part)[0, -1, INDEX["head"], 1].item() for part in parts]
    # One slice may be taller than what it was given; it is not handed on, or the last were 1.1 ** 19 as tall.
    assert len(parts) == 19
    assert max(heads) < 1.15 * heads[0]


def test_slices_of_several_pairs_are_joined() -> None:
    one = Slices(torch.tensor([0]), torch.zeros(1, 2), torch.zeros(1, 2, 3))
    two = Slices(torch.tensor([1, 1]), torch.ones(2, 2), torch.ones(2, 2, 3))
    both = join([one, two])
    assert both.owner.tolist() == [0, 1, 1]
    assert both.numbers.shape == (3, 2, 3)

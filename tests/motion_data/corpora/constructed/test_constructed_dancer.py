"""The parametric dancer: rigid bones, planted feet, a human's errors, and a bar that can be seen."""

from __future__ import annotations

import time

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.constructed.dancer import STYLES, dance, take_name
from motion_data.corpora.constructed.figure import draw_body, solve_middle_joint
from motion_data.corpora.constructed.footfalls import extend_grid
from motion_data.corpora.constructed.step_patterns import ACCENTS, PATTERNS
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import FEET, INDEX, JOINTS, PARENTS
from motionbeat_upstream.tracking.grid import Grid, cut_tokens, regular_grid

ALL = [(metre, style) for metre, styles in STYLES.items() for style in styles]
FPS = 60.0


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@st.composite
def grids(draw: st.DrawFn) -> tuple[Grid, str]:
    """Tempo changes, rubato, a first beat anywhere, an early end, a first bar that is short."""
    metre, style = draw(st.sampled_from(ALL))
    random = rng(draw(st.integers(0, 10**6)))
    bpm, count = draw(st.floats(50, 215)), draw(st.integers(2, 40))
    bend = np.interp(np.arange(count), [0, count / 2, count], draw(st.tuples(*[st.floats(0.8, 1.25)] * 3)))
    periods = np.clip(60 / bpm * bend * random.uniform(0.95, 1.05, count), 60 / 215, 1.2)
    beats = draw(st.floats(-10, 6)) + np.cumsum(periods)
    positions = (np.arange(count) + draw(st.integers(0, metre - 1))) % metre + 1
    return Grid(beats, positions, metre), style


def speeds(motion: Motion) -> NDArray[np.float64]:
    speed: NDArray[np.float64] = (
        np.linalg.norm(np.diff(motion.joints.astype(float), axis=0), axis=-1) * motion.fps
    )
    return speed


def accent_profile(motion: Motion, grid: Grid, bins: int = 24) -> NDArray[np.float64]:
    """(bars, bins) of all joints' speed, folded by the bar: nothing of the dancer's own is looked at."""
    speed = speeds(motion).sum(axis=1)
    downbeats = grid.downbeats
    bar = np.interp(
        (np.arange(len(speed)) + 0.5) / motion.fps, downbeats, np.arange(len(downbeats)), np.nan, np.nan
    )
    inside = np.isfinite(bar) & (bar < len(downbeats) - 1)
    bar, speed = bar[inside], speed[inside]
    index, phase = np.floor(bar).astype(int), ((bar % 1) * bins).astype(int)
    total, count = np.zeros((2, len(downbeats) - 1, bins))
    np.add.at(total, (index, phase), speed)
    np.add.at(count, (index, phase), 1)
    profile: NDArray[np.float64] = total / np.maximum(count, 1)
    return profile


def assert_a_body(motion: Motion) -> None:
    """Six seconds of a human body that moves as one can."""
    assert motion.names == JOINTS
    assert (motion.frames, motion.start) == (360, 0.0)
    bones = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, list(PARENTS[1:])], axis=-1)
    assert np.ptp(bones, axis=0).max() < 1e-4
    assert speeds(motion).max() < 8.0
    assert motion.joints[..., 1].min() > 0.0
    assert motion.joints[:, INDEX["head"], 1].min() > 1.0
    # No teleport: at 60 frames a second nothing changes its speed by 6 m/s between two frames.
    change = np.linalg.norm(np.diff(motion.joints.astype(float), n=2, axis=0), axis=-1) * FPS
    assert change.max() < 6.0
    # Knees never bend backwards.
    across = motion.joints[:, INDEX["left_hip"]] - motion.joints[:, INDEX["right_hip"]]
    forward = np.cross(across, [0.0, 1.0, 0.0])
    for side in ("left", "right"):
        hip, knee, ankle = (motion.joints[:, INDEX[f"{side}_{joint}"]] for joint in ("hip", "knee", "ankle"))
        assert (((knee - (hip + ankle) / 2) * forward).sum(axis=1) > 0).all()
    for times in motion.pulses.values():
        assert (times >= 0).all()
        assert (times < 6).all()
        assert (np.diff(times) > 0.1).all()


def assert_planted(motion: Motion) -> None:
    """Six seconds in which feet come down at the pulses and stand where they do."""
    speed = speeds(motion)
    for limb, joints in FEET.items():
        ball = INDEX[joints[1]]
        floor = motion.joints[:, ball, 1].min()
        down = motion.joints[:, ball, 1] < floor + 1e-4
        # Both frames on the floor: the foot is planted between them.
        planted = down[1:] & down[:-1]
        assert speed[planted, ball].max(initial=0) < 0.05
        runs = np.split(motion.joints[down, ball], np.flatnonzero(np.diff(np.flatnonzero(down)) > 1) + 1)
        assert max(np.ptp(run, axis=0).max() for run in runs if len(run)) < 0.01
        for pulse in motion.pulses[limb]:
            frame = int(np.ceil(pulse * FPS))
            if frame + 1 < motion.frames:
                assert down[frame], f"{limb} is not down at its pulse {pulse:.3f}"
            if frame > 2:
                assert not down[frame - 3]


def far(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.abs(a / a.sum() - b / b.sum()).sum())


@given(st.integers(0, 10**6), st.floats(0.2, 0.6), st.floats(0.2, 0.6))
def test_a_bent_limb_keeps_its_bones_and_bends_to_its_pole(seed: int, upper: float, lower: float) -> None:
    random = rng(seed)
    root, pole = random.normal(size=(2, 5, 3))
    direction = random.normal(size=(5, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = random.uniform(abs(upper - lower) + 0.01, upper + lower - 0.01, (5, 1))
    end = root + reach * direction
    middle = solve_middle_joint(root, end, pole, upper, lower)
    assert np.linalg.norm(middle - root, axis=1) == pytest.approx(upper, abs=1e-9)
    assert np.linalg.norm(middle - end, axis=1) == pytest.approx(lower, abs=1e-9)
    normal = np.cross(direction, pole)
    assert ((middle - root) * normal).sum(1) == pytest.approx(0, abs=1e-9)
    aside = pole - (pole * direction).sum(1, keepdims=True) * direction
    assert (((middle - root) * aside).sum(1) > 0).all()


@settings(max_examples=15, deadline=None)
@given(grids())
def test_a_grid_is_continued_as_the_tokens_continue_it(drawn: tuple[Grid, str]) -> None:
    grid, _ = drawn
    beats = extend_grid(grid, -3.0, 20.0)
    assert beats.beats[0] <= -3.0
    assert beats.beats[-1] >= 20.0
    tokens = cut_tokens([grid], [20.0], 1)
    # Tokens that begin inside the clip begin on a beat.
    begins = tokens.start[0, 1:].numpy()
    assert np.abs(begins[:, None] - beats.beats).min(axis=1).max() < 1e-9
    on_bar = np.abs(np.sin((tokens.phase[0, 1:].numpy() - np.pi / grid.metre) / 2)) < 1e-6
    nearest = np.abs(begins[:, None] - beats.beats).argmin(axis=1)
    # Broken bars of the grid aside, a downbeat is one for both.
    assert ((beats.positions[nearest] == 1) == on_bar).all()


@settings(max_examples=40, deadline=None)
@given(grids(), st.floats(0, 1), st.integers(0, 10**6))
def test_a_body_on_any_grid(drawn: tuple[Grid, str], energy: float, seed: int) -> None:
    grid, style = drawn
    assert_a_body(dance(grid, style, 6.0, energy, rng(seed), FPS))


@settings(max_examples=25, deadline=None)
@given(grids(), st.floats(0, 1), st.integers(0, 10**6))
def test_feet_stand_still_from_touch_down_on(drawn: tuple[Grid, str], energy: float, seed: int) -> None:
    grid, style = drawn
    assert_planted(dance(grid, style, 6.0, energy, rng(seed), FPS))


@pytest.mark.slow
@pytest.mark.parametrize(("metre", "style"), ALL)
def test_pulses_found_in_the_joints_alone_are_the_dancers(metre: int, style: str) -> None:
    scores = []
    for seed, (bpm, energy) in enumerate([(75, 0.3), (100, 0.7), (125, 0.5), (160, 0.9)]):
        motion = dance(regular_grid(20, bpm, metre, 0.3), style, 20, energy, rng(seed))
        found = contact_pulses(motion.joints, motion.names, motion.fps)
        scores += [
            mir_eval.beat.f_measure(motion.pulses[limb], found[limb], f_measure_threshold=0.05)
            for limb in motion.pulses
        ]
    assert np.mean(scores) > 0.9


@pytest.mark.parametrize(("metre", "style"), ALL)
def test_steps_fall_on_the_beat_with_a_humans_error(metre: int, style: str) -> None:
    bpm = 100.0
    grid = regular_grid(60, bpm, metre, 0.2)
    motion = dance(grid, style, 60, 0.5, rng(3))
    pulses = np.sort(np.concatenate(list(motion.pulses.values())))
    fractions = {step.beat % 1 for step in PATTERNS[metre][style].steps}
    # At 100 a minute a quick style goes at half time, where half beats are beats.
    ticks = np.unique(np.concatenate([grid.beats + f * 60 / bpm * k for f in fractions for k in (1, 2)]))
    error = pulses - ticks[np.abs(pulses[:, None] - ticks).argmin(axis=1)]
    assert 0.006 < error.std() < 0.030
    assert abs(error.mean()) < 0.015
    assert (np.diff(pulses) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("metre", sorted(STYLES))
def test_the_motion_knows_the_bar(metre: int) -> None:
    """Rolled by half a bar or a beat, the accents are others; between even and odd bars they are not."""
    same, half, beat = [], [], []
    for seed in range(6):
        for style in STYLES[metre]:
            grid = regular_grid(40, 90 + 8 * seed, metre, 0.2)
            profile = accent_profile(dance(grid, style, 40, 0.25 + 0.1 * seed, rng(seed)), grid)
            mean = profile.mean(axis=0)
            same.append(far(profile[::2].mean(axis=0), profile[1::2].mean(axis=0)))
            half.append(far(mean, np.roll(mean, 12)))
            beat.append(far(mean, np.roll(mean, 24 // metre)))
    assert np.median(half) > 3 * np.median(same)
    assert np.median(beat) > 3 * np.median(same)


def test_no_accents_repeat_after_half_a_bar_or_a_beat() -> None:
    for metre, rows in ACCENTS.items():
        for row in rows:
            assert len(row) == metre
            assert all(row != row[shift:] + row[:shift] for shift in range(1, metre))
            assert max(row) == row[0]


@pytest.mark.slow
@pytest.mark.parametrize("metre", sorted(STYLES))
def test_scuffs_are_in_the_feet_and_not_in_the_targets(metre: int) -> None:
    """The feet leave the floor more often than they come down on a beat, and every pulse is on one."""
    grid = regular_grid(30, 80, metre)
    style = {2: "six_touch", 3: "hesitation", 4: "side_touch", 5: "five_walk", 7: "seven_walk"}[metre]
    landings, pulses = 0, 0
    for seed in range(16):
        motion = dance(grid, style, 30, 0.6, rng(seed))
        for limb, times in motion.pulses.items():
            height = motion.joints[:, INDEX[limb], 1]
            low = height < height.min() + 0.01
            landings += int((low[1:] & ~low[:-1]).sum())
            pulses += len(times)
            assert np.abs(times[:, None] - grid.beats).min(axis=1).max() < 0.08
    assert 1.005 * pulses < landings < 1.15 * pulses


@given(st.integers(0, 10**6))
def test_bodies_are_human(seed: int) -> None:
    body = draw_body(rng(seed))
    assert 1.5 < body.height < 1.95
    standing = body.ankle + body.leg + body.hip_drop + sum(body.spine)
    # The head's joint is at the height of the ears.
    assert 0.82 < standing / body.height < 0.98


def test_the_same_seed_is_the_same_take() -> None:
    grid = regular_grid(5, 120, 4)
    one, two = (dance(grid, "salsa", 5, 0.5, rng(7)) for _ in range(2))
    assert (one.joints == two.joints).all()
    other = dance(grid, "salsa", 5, 0.5, rng(8))
    assert np.abs(one.joints - other.joints).max() > 0.1
    assert take_name("salsa", 7) != take_name("salsa", 8) != take_name("box", 8)


def test_fast_music_is_danced_at_half_time() -> None:
    for metre, style in ((4, "side_touch"), (3, "hesitation"), (2, "jig_side")):
        slow, fast = (
            dance(regular_grid(30, bpm, metre), style, 30, 0.5, rng(0)).pulses for bpm in (95.0, 215.0)
        )
        rate = [sum(map(len, pulses.values())) / 30 / (bpm / 60) for pulses, bpm in ((slow, 95), (fast, 215))]
        assert rate[1] < 0.65 * rate[0]


def test_it_refuses_what_it_cannot_dance() -> None:
    grid = regular_grid(5, 120, 4)
    with pytest.raises(DataError, match=r"style 'waltz' in a metre of 4 beats; expected one of: side_touch"):
        dance(grid, "waltz", 5, 0.5, rng(0))
    with pytest.raises(DataError, match=r"metre of 6 beats.*none"):
        dance(regular_grid(5, 120, 6), "waltz", 5, 0.5, rng(0))
    with pytest.raises(DataError, match="energy 2"):
        dance(grid, "salsa", 5, 2.0, rng(0))
    with pytest.raises(DataError, match="two frames"):
        dance(grid, "salsa", 0.01, 0.5, rng(0))


def test_twenty_seconds_take_milliseconds() -> None:
    grid = regular_grid(20, 110, 4)
    dance(grid, "cha_cha", 20, 0.5, rng(0))
    taken = []
    for seed in range(5):
        begin = time.perf_counter()
        dance(grid, "cha_cha", 20, 0.5, rng(seed))
        taken.append(time.perf_counter() - begin)
    # 10 ms on an idle core; the bound leaves room for a busy one.
    assert min(taken) < 0.1

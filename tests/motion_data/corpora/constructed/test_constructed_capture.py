"""Captured motion warped onto grids: monotone, within its limits, on the beat, and with its bar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.body.orientation import estimate_stature
from motion_data.corpora.constructed.capture import (
    MAX_RATE,
    MIN_RATE,
    Take,
    Warp,
    plan_warp,
    read_takes,
    warp_to_grid,
)
from motion_data.corpora.constructed.dancer import dance
from motion_data.corpora.constructed.take_rhythm import estimate_take_rhythm, periodicity
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.motion_file import write_motion
from motion_data.rhythm.contacts import contact_pulses
from motion_data.skeleton import JOINTS, PARENTS
from motionbeat_upstream.tracking.grid import Grid, regular_grid
from tests.motion_data.corpora.constructed.test_constructed_dancer import accent_profile, far, speeds
from tests.shared_data import shared


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def danced() -> Take:
    """A take whose beats and bars are known: danced at 120 a minute, downbeats at 0.3 s + 2 s k."""
    motion = dance(regular_grid(24, 120, 4, 0.3), "side_touch", 24, 0.6, rng(3))
    return Take(motion.fps, motion.names, motion.joints, name="danced", group="danced")


@pytest.fixture(scope="module")
def salsa() -> list[Take]:
    return [take for take in read_takes(shared("motion/cmu_salsa")) if take.name.startswith("salsa")]


def rates(warp: Warp) -> NDArray[np.float64]:
    rate: NDArray[np.float64] = np.diff(warp.take_times) / np.diff(warp.music_times)
    return rate


def distances(times: NDArray[np.float64], ticks: NDArray[np.float64]) -> NDArray[np.float64]:
    nearest: NDArray[np.float64] = np.abs(times[:, None] - ticks).min(axis=1)
    return nearest


@settings(max_examples=25, deadline=None)
@given(st.floats(62, 185), st.sampled_from([2, 4]), st.floats(-2, 2), st.integers(0, 10**6))
def test_time_never_stands_still_nor_leaves_its_limits(
    danced: Take, bpm: float, metre: int, first: float, seed: int
) -> None:
    random = rng(seed)
    count = int(14 * bpm / 60)
    beats = first + np.cumsum(60 / bpm * random.uniform(0.96, 1.04, count))
    grid = Grid(beats, (np.arange(count) + random.integers(metre)) % metre + 1, metre)
    warp = plan_warp(danced, grid, 12.0, random)
    if warp is None:
        # Refused near where no level is within the limits, and nowhere else.
        level = np.array([0.5, 1, 2]) * 120 * np.median(np.diff(beats)) / 60
        assert ((1 / level < MIN_RATE * 1.15) | (1 / level > MAX_RATE / 1.15)).all()
        return
    rate = rates(warp)
    assert rate.min() >= MIN_RATE - 1e-6
    assert rate.max() <= MAX_RATE + 1e-6
    # Smooth: from one sixtieth of a second to the next the rate hardly changes.
    assert np.abs(rate[4:] - rate[:-4]).max() < 0.2
    assert warp.music_times[0] <= 0
    assert warp.music_times[-1] >= 12.0
    motion = warp_to_grid(danced, grid, 12.0, rng(seed))
    assert motion is not None
    assert (motion.frames, motion.fps, motion.start) == (720, 60.0, 0.0)
    # Nothing moves faster than the take does at the fastest rate.
    assert speeds(motion).max() < MAX_RATE * speeds(danced).max() * 1.05


def test_a_take_that_fits_is_left_as_it_is(danced: Take) -> None:
    warp = plan_warp(danced, regular_grid(12, 120, 4, 0.3), 12.0, rng())
    assert warp is not None
    shift = warp.take_times - warp.music_times
    # Whole bars later, but for the dancer's own errors of timing, which the warp takes back.
    assert np.median(shift) == pytest.approx(2.0 * round(np.median(shift) / 2.0), abs=0.03)
    assert np.abs(shift - np.median(shift)).max() < 0.06
    assert np.abs(rates(warp) - 1).max() < 0.15


@pytest.mark.parametrize("bpm", [70.0, 95.0, 135.0, 160.0])
def test_downbeats_come_on_downbeats(danced: Take, bpm: float) -> None:
    grid = regular_grid(14, bpm, 4, 0.1)
    warp = plan_warp(danced, grid, 14.0, rng(1))
    assert warp is not None
    level = np.median(np.diff(grid.beats)) / np.median(np.diff(warp.target_beats))
    downbeats = grid.downbeats[(grid.downbeats > 0) & (grid.downbeats < 13)]
    # With a beat of the take to every second one of the music, its bar lasts two of the music's.
    downbeats = downbeats[:: max(1, round(1 / level))]
    taken = warp.to_take(downbeats)
    bars = (taken - 0.3) / 2.0
    if np.isinf(warp.take.loop_end):
        assert np.abs(bars - np.round(bars)).max() < 0.04


@pytest.mark.parametrize(
    ("bpm", "style", "metre"), [(105, "side_touch", 4), (140, "waltz", 3), (90, "six_touch", 2)]
)
def test_footfalls_come_on_beats_and_pulses_are_in_the_joints(bpm: int, style: str, metre: int) -> None:
    own = regular_grid(20, 118, metre, 0.2)
    take = dance(own, style, 20, 0.6, rng(5))
    grid = regular_grid(20, bpm, metre, 0.15)
    warp, motion = (f(take, grid, 20.0, rng(2)) for f in (plan_warp, warp_to_grid))
    assert isinstance(warp, Warp)
    assert isinstance(motion, Motion)
    falls, _ = warp.footfalls(20.0)
    assert np.median(distances(falls, warp.target_beats)) < 0.02
    found = contact_pulses(motion.joints, motion.names, motion.fps)
    for limb, times in motion.pulses.items():
        assert np.mean(distances(times[times < 19.8], found[limb]) < 0.05) > 0.9


def test_a_waltz_is_not_danced_in_four_nor_a_salsa_in_three() -> None:
    for style, metre, other in (("waltz", 3, 4), ("balance", 3, 4), ("side_touch", 4, 3), ("cha_cha", 4, 3)):
        take = dance(regular_grid(20, 118, metre, 0.2), style, 20, 0.5, rng(1))
        assert warp_to_grid(take, regular_grid(10, 118, metre), 10.0, rng()) is not None
        assert warp_to_grid(take, regular_grid(10, 118, other), 10.0, rng()) is None


def test_who_stands_still_is_not_warped() -> None:
    joints = np.repeat(dance(regular_grid(5, 120, 4), "box", 5, 0.5, rng()).joints[:1], 600, axis=0)
    assert warp_to_grid(Motion(60.0, JOINTS, joints), regular_grid(10, 120, 4), 10.0, rng()) is None


def test_a_short_take_returns_to_its_own_bars(danced: Take) -> None:
    short = Take(60.0, JOINTS, danced.joints[: 9 * 60])
    grid = regular_grid(40, 126, 4, 0.2)
    warp, motion = (f(short, grid, 40.0, rng()) for f in (plan_warp, warp_to_grid))
    assert isinstance(warp, Warp)
    assert isinstance(motion, Motion)
    assert np.isfinite(warp.take.loop_end)
    # It returns by whole bars of its own.
    bars = (warp.take.loop_end - warp.take.loop_start) / 2.0
    assert bars == pytest.approx(round(bars), abs=0.05)
    # No teleport, and no bone that shrinks while one pose fades into the other.
    assert speeds(motion).max() < 1.3 * MAX_RATE * speeds(short).max()
    change = [
        np.linalg.norm(np.diff(m.joints.astype(float), n=2, axis=0), axis=-1).max() * 60
        for m in (motion, short)
    ]
    assert change[0] < 2.5 * change[1]
    bones = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, list(PARENTS[1:])], axis=-1)
    assert np.ptp(bones, axis=0).max() < 2e-3
    assert motion.joints[..., 1].min() > -0.1
    profile = accent_profile(motion, grid)
    mean = profile.mean(axis=0)
    assert far(mean, np.roll(mean, 12)) > 2 * far(profile[::2].mean(axis=0), profile[1::2].mean(axis=0))


def test_recurrence_tells_a_bar_from_none() -> None:
    random = rng(0)
    bar, noise = np.tile(random.normal(size=(4, 3)), (12, 1)), random.normal(size=(48, 3))
    assert periodicity(bar, 4) == pytest.approx(1, abs=0.15)
    assert periodicity(bar, 8) > periodicity(bar, 6) + 0.5
    assert abs(np.mean([periodicity(rng(k).normal(size=(48, 3)), 8) for k in range(50)])) < 0.05
    assert periodicity(noise[:8], 8) == 0


class TestReading:
    def test_files_of_both_kinds_are_takes(self, tmp_path: Path) -> None:
        motion = dance(regular_grid(5, 120, 4), "salsa", 5, 0.5, rng())
        write_motion(tmp_path / "mine.npz", motion, None)
        small = motion.joints * 0.75
        arrays = {"take_60_01": small, "take_61_01": small, "take_61_02": small}
        np.savez(tmp_path / "others.npz", names=np.array(JOINTS), fps=60.0, **arrays)
        (tmp_path / "notes.txt").write_text("not a take")
        takes = read_takes(tmp_path)
        assert [take.name for take in takes] == ["mine", *(f"others-{name}" for name in arrays)]
        # Partners are in one group; a body that was scaled down is brought back to size.
        assert takes[1].group == takes[2].group != takes[3].group
        assert estimate_stature(takes[1].joints) == pytest.approx(1.7, abs=0.01)
        assert (takes[0].joints == motion.joints).all()

    def test_what_is_no_folder_of_takes_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such folder"):
            read_takes(tmp_path / "nowhere")
        with pytest.raises(DataError, match=r"neither \.bvh nor \.npz"):
            read_takes(tmp_path)
        np.savez(tmp_path / "a.npz", x=np.zeros(3))
        with pytest.raises(DataError, match=r"a\.npz: has the arrays x; expected names, fps"):
            read_takes(tmp_path)
        np.savez(tmp_path / "a.npz", names=np.array(["a", "b"]), fps=60.0, x=np.zeros((4, 3, 3)))
        with pytest.raises(DataError, match=r"x has shape \(4, 3, 3\); expected \(T, 2, 3\)"):
            read_takes(tmp_path)
        (tmp_path / "a.npz").write_bytes(b"PK no archive")
        with pytest.raises(DataError, match="export it again"):
            read_takes(tmp_path)

    def test_joints_of_no_body_are_refused(self) -> None:
        with pytest.raises(DataError, match="1 joints"):
            warp_to_grid(Motion(60.0, ("pelvis",), np.zeros((9, 1, 3))), regular_grid(5, 120, 4), 5.0, rng())


class TestRealSalsa:
    @pytest.mark.slow
    def test_28_takes_of_14_performances(self, salsa: list[Take]) -> None:
        assert len(salsa) == 28
        assert len({take.group for take in salsa}) == 14
        assert all(1.6 < estimate_stature(take.joints) < 1.8 for take in salsa)

    def test_most_keep_the_tempo_of_salsa_and_a_bar(self, salsa: list[Take]) -> None:
        rhythms = [rhythm for take in salsa if (rhythm := take.rhythm)]
        assert len(rhythms) == 28
        assert sum(150 < rhythm.bpm < 200 for rhythm in rhythms) >= 20
        eight = np.array([periodicity(rhythm.movement, 8) for rhythm in rhythms])
        six = np.array([periodicity(rhythm.movement, 6) for rhythm in rhythms])
        assert np.mean(eight) > np.mean(six) + 0.05

    @pytest.mark.slow
    @pytest.mark.parametrize("bpm", [90.0, 130.0, 165.0, 200.0])
    def test_their_footfalls_move_onto_the_beats(self, salsa: list[Take], bpm: float) -> None:
        grid = regular_grid(20, bpm, 4, 0.35)
        before, after = [], []
        for index, take in enumerate(salsa):
            warp = plan_warp(take, grid, 20.0, rng(index))
            if warp is None:
                continue
            assert rates(warp).min() >= MIN_RATE - 1e-6
            assert rates(warp).max() <= MAX_RATE + 1e-6
            falls, _ = warp.footfalls(20.0)
            after += list(distances(falls, warp.target_beats))
            # The same stretch of the take at one constant rate.
            ends, span = (
                warp.to_take(warp.target_beats[[0, -1]]),
                warp.target_beats[-1] - warp.target_beats[0],
            )
            constant = warp.target_beats[0] + (warp.take.footfalls - ends[0]) / (ends[1] - ends[0]) * span
            before += list(distances(constant[(constant > 0) & (constant < 20)], warp.target_beats))
        assert len(after) > 15 * 40
        assert np.median(after) < 0.5 * np.median(before)

    @pytest.mark.slow
    def test_their_bar_is_kept(self, salsa: list[Take]) -> None:
        """Even and odd bars are alike; rolled by half a bar, or by a beat, they are not."""
        # 40 s are 26 bars; most takes have ten or so of their own and come back to them.
        grid = regular_grid(40, 160, 4, 0.3)
        same, half, beat, seen = [], [], [], []
        for index, take in enumerate(salsa):
            motion = warp_to_grid(take, grid, 40.0, rng(index))
            if motion is None:
                continue
            profile = accent_profile(motion, grid)
            mean = profile.mean(axis=0)
            same.append(far(profile[::2].mean(axis=0), profile[1::2].mean(axis=0)))
            half.append(far(mean, np.roll(mean, 12)))
            beat.append(far(mean, np.roll(mean, 6)))
            found = contact_pulses(motion.joints, motion.names, motion.fps)
            for limb, times in motion.pulses.items():
                inside = times[(times > 0.2) & (times < 39.8)]
                seen.append(float(np.mean(distances(inside, found[limb]) < 0.05)))
        assert np.median(half) > 1.5 * np.median(same)
        assert np.median(beat) > 1.5 * np.median(same)
        # The pulses are touch-downs that can be seen in the warped joints.
        assert np.mean(seen) > 0.9


def test_rhythm_of_a_known_dance() -> None:
    take = dance(regular_grid(20, 110, 4, 0.25), "grapevine", 20, 0.5, rng(0))
    rhythm = estimate_take_rhythm(take)
    assert rhythm is not None
    assert rhythm.bpm == pytest.approx(110, rel=0.03)
    assert np.median(distances(rhythm.beats, 0.25 + np.arange(40) * 60 / 110)) < 0.03

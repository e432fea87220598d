"""Negatives: every one that is drawn is one, and bends the motion as its recipe says."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.motion import Motion
from motion_data.negatives.descriptor import (
    MIN_ACCENT_DIFFERENCE_BEATS,
    Descriptor,
    accent_difference,
    describe,
)
from motion_data.negatives.drawing import (
    MIN_STRETCH_CHANGE,
    SHIFTS_BEATS,
    STRETCH_RANGE,
    NegativeCounts,
    draw_negatives,
    negative_mask,
)
from motion_data.negatives.recipe import SETTLING_RATE, Negative, roll_motion, sample_motion, to_source_time
from motion_data.pipeline.batch import displace_grid
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.reader import ClipReader
from motion_data.rhythm.contacts import contact_pulses
from motionbeat_upstream.tracking.grid import Grid, beats_to_bars, beats_to_time, regular_grid, time_to_beats
from tests.bent_motion import bent
from tests.made_corpus import Made, write_corpus
from tests.motion_data.rhythm.test_rhythm_contacts import salsa
from tests.shared_data import shared

FPS = 60.0
MARGIN = 4.0
"""Seconds of motion around a clip: more than any negative reaches beyond it."""
ALL = NegativeCounts(jittered=len(SHIFTS_BEATS), stretched=2, others=2)


def dance(
    grid: Grid, duration: float, period: float, steps: list[float], seed: int = 0, margin: float = MARGIN
) -> Motion:
    """A motion that repeats every ``period`` beats, with touch-downs at ``steps`` beats of each."""
    rng = np.random.default_rng(seed)
    size, phase = rng.uniform(0.1, 0.3, (3, 3)), rng.uniform(0, 2 * np.pi, (3, 3))
    frames = int(np.ceil((duration + 2 * margin) * FPS))
    turns = time_to_beats(grid, np.arange(frames) / FPS - margin)[:, None, None] / period
    # The second harmonic, in other proportions, so that the speed too repeats no sooner.
    joints = size * np.sin(2 * np.pi * turns + phase) + size[::-1] / 3 * np.cos(4 * np.pi * turns)
    first, last = time_to_beats(grid, np.array([-margin, duration + margin]))
    laps = np.arange(np.floor(first / period) - 1, np.ceil(last / period) + 1)
    pulses = beats_to_time(grid, np.sort((laps[:, None] * period + np.array(steps)).ravel()))
    pulses = pulses[(pulses >= -margin) & (pulses < duration + margin)]
    return Motion(FPS, ("pelvis", "head", "neck"), joints, -margin, None, {"left_foot": pulses})


def uneven_grid(seed: int, metre: int = 4, count: int = 16) -> Grid:
    """Beats around 120 bpm that change by up to a tenth, from a little before 0 on."""
    rng = np.random.default_rng(seed)
    beats = rng.uniform(-0.4, 0.1) + np.concatenate([[0.0], np.cumsum(rng.uniform(0.45, 0.55, count - 1))])
    return Grid(beats, (np.arange(count) + rng.integers(metre)) % metre + 1, metre)


def random_dance(seed: int, piece: str = "a", take: str = "t") -> tuple[Descriptor, Motion]:
    """A clip whose touch-downs follow no pattern."""
    rng = np.random.default_rng(seed)
    grid = uneven_grid(seed)
    steps = np.cumsum(rng.uniform(0.3, 1.6, 40))
    motion = dance(grid, 6.0, 40.0, steps[steps < 39].tolist(), seed)
    return describe(piece, take, motion, grid, 6.0), motion


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_same_piece_or_same_take_is_never_a_negative(clips: list[tuple[int, int]]) -> None:
    mask = negative_mask([str(piece) for piece, _ in clips], [take for _, take in clips])
    for i, one in enumerate(clips):
        for j, other in enumerate(clips):
            assert mask[i, j] == (one[0] != other[0] and one[1] != other[1])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.25, 0.5, 1.0, 4.0]))
def test_a_motion_moved_by_its_own_period_is_left_out(seed: int, period: float) -> None:
    steps = {4.0: [0.0, 1.5, 2.25]}.get(period, [0.0])
    # At four steps a second and more a tempo that jumps by a tenth leaves too little to recognise.
    uneven = [uneven_grid(seed, count=20)] if period > 0.5 else []
    for grid in (regular_grid(8.0, 100.0, 4, 0.2), *uneven):
        clip = describe("a", "t", dance(grid, 8.0, period, steps, seed % 100), grid, 8.0)
        (drawn,) = draw_negatives([clip], np.random.default_rng(seed), NegativeCounts(jittered=6))
        moved = {negative.amount for negative in drawn if negative.kind == "jittered"}
        assert moved == {shift for shift in SHIFTS_BEATS if shift % period}


def test_steps_alone_show_a_period_too() -> None:
    """A step chart has no joints: a step on every beat, then one beat of four left out."""
    grid = regular_grid(8.0, 120.0, 4)
    for left_out, kept in ((0, {0.25, 0.5}), (4, {0.25, 0.5, 1.0})):
        beats = [beat for beat in range(-4, 20) if not left_out or beat % left_out != 3]
        times = 0.5 * np.array(beats) + 0.01
        chart = Motion(60.0, (), np.zeros((720, 0, 3)), -2.0, None, {"left_foot": times})
        (drawn,) = draw_negatives(
            [describe("a", "t", chart, grid, 8.0)], np.random.default_rng(0), NegativeCounts(jittered=6)
        )
        found = {abs(negative.amount) for negative in drawn if negative.kind == "jittered"}
        assert found == kept


@pytest.mark.parametrize("moving", [False, True])
def test_what_has_no_rhythm_has_no_negatives(moving: bool) -> None:
    grid = regular_grid(6.0, 120.0, 4)
    joints = np.zeros((600, 2, 3))
    joints[:, :, 0] = np.arange(600)[:, None] / FPS * moving
    clip = describe("a", "t", Motion(FPS, ("pelvis", "head"), joints, -2.0), grid, 6.0)
    (drawn,) = draw_negatives([clip], np.random.default_rng(0), ALL)
    assert drawn == ()


def test_a_clip_too_short_to_compare_has_no_negatives() -> None:
    grid = regular_grid(1.0, 120.0, 4)
    clip = describe("a", "t", dance(grid, 1.0, 4.0, [0.0, 1.5]), grid, 1.0)
    (drawn,) = draw_negatives([clip], np.random.default_rng(0), ALL)
    assert drawn == ()


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 2**32 - 1))
def test_a_negative_is_a_negative(seed: int) -> None:
    """Seen from outside: touch-downs have moved, for every recipe, and by what the recipe says."""
    clips = [random_dance(seed % 1000 + n, piece=f"p{n % 3}", take=f"t{n}") for n in range(4)]
    drawn = draw_negatives([clip for clip, _ in clips], np.random.default_rng(seed), ALL)
    for row, ((clip, motion), own) in enumerate(zip(clips, drawn, strict=True)):
        truth = motion.pulses["left_foot"]
        for negative in own:
            source, moved = clips[negative.source][0], bent(negative, clips[negative.source][1])
            if negative.kind == "other":
                assert source.piece != clip.piece
                assert source.take != clip.take
                assert abs(np.log2(source.grid.bpm / clip.grid.bpm)) <= ALL.tempo_octaves
            else:
                assert negative.source == row
            if negative.kind == "stretched":
                assert STRETCH_RANGE[0] <= negative.amount <= STRETCH_RANGE[1]
                assert abs(negative.amount - 1) > MIN_STRETCH_CHANGE
            assert moved.frames == 360
            pulses = moved.pulses["left_foot"]
            assert ((pulses >= 0) & (pulses < 6.0)).all()
            away = np.abs(pulses[:, None] - truth).min(axis=1) * clip.grid.bpm / 60
            assert np.mean(away > 0.1) > 0.2


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHIFTS_BEATS))
def test_jitter_moves_along_with_the_tempo(seed: int, shift: float) -> None:
    grid = uneven_grid(seed, count=20)
    motion = dance(grid, 6.0, 4.0, [0.0, 1.5, 2.25], seed % 100, margin=1.5)
    moved = bent(drawn_shift(describe("a", "t", motion, grid, 6.0), shift), motion)
    # The motion reaches beyond the clip, so what is seen is known everywhere.
    beats = time_to_beats(grid, moved.times) - shift
    clock = motion.times
    expected = np.stack(
        [
            np.interp(beats_to_time(grid, beats), clock, row)
            for row in motion.joints.reshape(len(clock), -1).T
        ],
        1,
    )
    np.testing.assert_allclose(moved.joints.reshape(moved.frames, -1), expected, atol=2e-3)
    known = time_to_beats(grid, motion.pulses["left_foot"]) + shift
    known = known[(beats_to_time(grid, known) >= 0) & (beats_to_time(grid, known) < 6.0)]
    np.testing.assert_allclose(time_to_beats(grid, moved.pulses["left_foot"]), known, atol=1e-6)


def drawn_shift(clip: Descriptor, shift: float) -> Negative:
    (drawn,) = draw_negatives([clip], np.random.default_rng(0), NegativeCounts(jittered=6))
    return next(negative for negative in drawn if negative.amount == shift)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.5))
def test_only_what_the_known_motion_covers_is_drawn(seed: int, margin: float) -> None:
    grid = uneven_grid(seed)
    motion = dance(grid, 6.0, 40.0, [0.0, 1.3, 2.9, 4.1, 5.6, 7.7], seed % 100, margin)
    (drawn,) = draw_negatives(
        [describe("a", "t", motion, grid, 6.0)], np.random.default_rng(seed), NegativeCounts(6, 3, 0)
    )
    for negative in drawn:
        first, last = to_source_time(negative, np.array([0.0, negative.duration]))
        assert motion.start <= first
        assert last <= motion.start + motion.seconds


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.999))
def test_a_rolled_motion_neither_freezes_nor_jumps_at_its_seam(seed: int, share: float) -> None:
    motion = random_dance(seed % 1000)[1]
    late = share * motion.seconds
    rolled = roll_motion(motion, late)
    fastest, roughest = (np.abs(np.diff(motion.joints, n=n, axis=0)).max() for n in (1, 2))
    steps = np.abs(np.diff(rolled.joints, axis=0)).max(axis=(1, 2))
    # A body that comes back from 0.6 m away adds at most 0.6 · SETTLING / e metres a second.
    assert steps.max() < 1.33 * fastest + 0.6 * 2 * SETTLING_RATE / np.e / FPS
    assert (steps > 1e-7).mean() > 0.98
    # Nor does its speed jump.
    assert (
        np.abs(np.diff(rolled.joints, n=2, axis=0)).max()
        < 2.5 * roughest + 0.6 * 2 * (SETTLING_RATE / FPS) ** 2
    )
    # Every touch-down comes once, from the moment on, but for two that meet at the seam.
    known = motion.pulses["left_foot"] - motion.start
    expected = np.sort((known - late) % motion.seconds) + motion.start
    expected = expected[np.diff(expected, prepend=-np.inf) > 1e-3]
    np.testing.assert_allclose(rolled.pulses["left_foot"], expected, atol=1e-6)
    # Before the seam the body is the motion's own.
    seam = int(np.ceil((motion.seconds - late) * FPS))
    times = np.arange(motion.frames) / FPS
    body = motion.joints - motion.joints[:, :1]
    own = np.stack([np.interp(times[:seam] + late, times, row) for row in body.reshape(len(body), -1).T], 1)
    moved = (rolled.joints - rolled.joints[:, :1]).reshape(len(body), -1)
    np.testing.assert_allclose(moved[: seam - 1], own[: seam - 1], atol=5e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_stretch_is_the_same_dance_at_another_speed(seed: int) -> None:
    clip, motion = random_dance(seed % 1000)
    (drawn,) = draw_negatives(
        [clip], np.random.default_rng(seed), NegativeCounts(jittered=0, stretched=3, others=0)
    )
    assert len(drawn) == 3
    for negative in drawn:
        np.testing.assert_allclose(
            np.diff(negative.clip_times), negative.amount * np.diff(negative.source_times)
        )
        pulses = motion.pulses["left_foot"]
        expected = negative.clip_times[0] + (pulses - negative.source_times[0]) * negative.amount
        expected = expected[(expected >= 0) & (expected < 6.0)]
        found = bent(negative, motion).pulses["left_foot"]
        assert np.abs(expected[:, None] - found).min(axis=1).max() < 1e-6


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 4]))
def test_others_step_on_this_musics_beats_in_another_bar_phase(seed: int, metre: int) -> None:
    """Two dances that step on the downbeat: the other, on this grid, must step on another beat."""
    grids = [uneven_grid(seed + n, metre, 20) for n in range(2)]
    clips, motions = [], []
    for n, grid in enumerate(grids):
        first = int(np.flatnonzero(grid.positions == 1)[0])
        motions.append(dance(grid, 8.0, float(metre), [float(first)], n))
        clips.append(describe(f"p{n}", f"t{n}", motions[n], grid, 8.0))
    drawn = draw_negatives(clips, np.random.default_rng(seed), NegativeCounts(0, 0, 1))
    for n, own in enumerate(drawn):
        (negative,) = own
        assert negative.source == 1 - n
        assert negative.amount in range(1, metre)
        moved = bent(negative, motions[negative.source])
        beats = time_to_beats(grids[n], moved.pulses["left_foot"])
        # Away from where it had to be filled in, each step is on a beat, and never on the downbeat.
        middle = np.abs(moved.pulses["left_foot"] - 4) < 1.4
        np.testing.assert_allclose(beats[middle], np.rint(beats[middle]), atol=1e-6)
        places = grids[n].positions[np.rint(beats[middle]).astype(int)]
        assert set(places) == {int(negative.amount) + 1}
        again = describe("x", "x", moved, grids[n], 8.0)
        assert accent_difference(clips[n].accents, again.accents) > MIN_ACCENT_DIFFERENCE_BEATS


def test_others_of_another_tempo_metre_piece_or_take_are_passed_over() -> None:
    def clip(piece: str, take: str, bpm: float, metre: int) -> Descriptor:
        grid = regular_grid(8.0, bpm, metre)
        return describe(piece, take, dance(grid, 8.0, float(metre), [0.0, 0.5]), grid, 8.0)

    this = clip("a", "t", 120, 4)
    for other, allowed in (
        (clip("b", "u", 125, 4), True),
        (clip("a", "u", 125, 4), False),
        (clip("b", "t", 125, 4), False),
        (clip("b", "u", 150, 4), False),
        (clip("b", "u", 125, 3), False),
    ):
        for drawn in draw_negatives([this, other], np.random.default_rng(0), NegativeCounts(0, 0, 1)):
            assert len(drawn) == allowed


def test_the_same_seed_draws_the_same_and_recipes_are_small() -> None:
    clips = [random_dance(n, f"p{n}", f"t{n}")[0] for n in range(5)]
    one, other = (draw_negatives(clips, np.random.default_rng(7), ALL) for _ in range(2))
    assert sum(len(own) for own in one) > 20
    assert one == other
    assert all(len(pickle.dumps(own)) < 6000 for own in one)
    another = draw_negatives(clips, np.random.default_rng(8), ALL)
    assert one != another


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 4]), st.floats(0, 0.999))
@example(179_028, 4, 0.078125)
def test_a_displaced_grid_has_a_place_of_the_bar_at_0_s(seed: int, metre: int, place: float) -> None:
    grid = uneven_grid(seed, metre)
    wrong = displace_grid(grid, place)
    turns, _ = beats_to_bars(wrong)
    at_start = time_to_beats(wrong, np.zeros(1))[0] / metre + turns[0]
    late = time_to_beats(grid, wrong.beats) - np.arange(len(grid.beats))
    np.testing.assert_allclose(late, late[0], atol=1e-9)
    assert abs(late[0]) <= 0.5 + 1e-9
    # Beats of uneven length are moved by a part of their own length, so it is met to within that. Where a
    # beat of length a is followed by one of length b, a moved beat holds 1 - f of one and f of the other, and
    # 0 s is off by at most f(1 - f)|b - a| / ((1 - f)a + fb) of it, which is greatest, for any f, at:
    lengths = np.sqrt([0.45, 0.55])
    most = np.diff(lengths)[0] / lengths.sum()
    if grid.beats[0] > 0:
        # Up to 0.1 s before the first beat, each goes on at its own outer tempo.
        most += 0.1 * (1 / 0.45 - 1 / 0.5)
    assert abs((at_start - place + 0.5) % 1 - 0.5) <= most / metre + 1e-9
    assert (wrong.metre, wrong.confidence) == (metre, grid.confidence)
    assert set(wrong.positions) == set(range(1, metre + 1))


def test_a_real_dance_has_negatives_of_every_kind() -> None:
    """Windows of 7 s of the wavefile dance, taken for pairs of different pieces and takes."""
    with np.load(shared("motion/wavefile/wavefile_joints_30fps.npz")) as arrays:
        names = [name.replace("toe", "foot") for name in arrays["names"].tolist()]
        joints: NDArray[np.float32] = arrays["pos_m"]
        offset = float(arrays["audio_offset_s"])
    clips, motions = [], []
    for n in range(10):
        first = max(0, round((offset + 8.0 * n - 3) * 30))
        start, around = first / 30 - offset - 8.0 * n, joints[first : first + 13 * 30]
        pulses = contact_pulses(around, names, 30.0, start)
        motion = Motion(30.0, tuple(names), around, start, None, pulses)
        grid = regular_grid(7.0, 135.0, 4, -8.0 * n % (240 / 135))
        motions.append(motion)
        clips.append(describe(f"p{n}", f"t{n}", motion, grid, 7.0))
    drawn = draw_negatives(clips, np.random.default_rng(0), NegativeCounts(6, 1, 1))
    kinds = [negative.kind for own in drawn for negative in own]
    assert kinds.count("jittered") > 45
    assert kinds.count("stretched") == 10
    assert kinds.count("other") >= 8
    for own in drawn:
        for negative in own:
            assert np.isfinite(bent(negative, motions[negative.source]).joints).all()


@pytest.mark.slow
@pytest.mark.parametrize("fps", [30, 60])
def test_nobody_tells_negatives_by_their_roughness(fps: int) -> None:
    """Clips of 6 s of CMU's salsa, with two seconds of motion on either side, sampled as in a batch."""
    look: dict[str, list[tuple[float, float]]] = {"paired": [], "jittered": [], "stretched": []}
    rng = np.random.default_rng(0)
    for take in ("60_01", "60_05", "60_12", "61_03", "61_09", "61_14"):
        joints, names, _ = salsa(take)
        joints = joints[:: 60 // fps]
        for first in range(0, len(joints) - 10 * fps, fps):
            clip = joints[first : first + 10 * fps]
            motion = Motion(fps, tuple(names), clip, -2.0, None, contact_pulses(clip, names, fps, -2.0))
            grid = regular_grid(6.0, 166.0, 4, rng.uniform(0, 1))
            (drawn,) = draw_negatives([describe("a", "t", motion, grid, 6.0)], rng, NegativeCounts(2, 1, 0))
            clock = (np.arange(6 * fps) + rng.uniform(-0.5, 0.5)) / fps
            for kind, recipe in [("paired", None), *((n.kind, n) for n in drawn)]:
                second, third = (
                    np.diff(sample_motion(motion, clock, recipe)[0], n=n, axis=0) for n in (2, 3)
                )
                look[kind].append((np.linalg.norm(second, axis=2).max(), float(np.square(third).mean())))
    paired = np.array(look["paired"])
    for kind in ("jittered", "stretched"):
        area = (np.array(look[kind])[:, None] > paired).mean(axis=(0, 1))
        assert len(look[kind]) > 30
        assert ((area > 0.35) & (area < 0.65)).all(), (kind, area)


def test_batches_of_the_pipeline_carry_recipes_for_their_own_clips(tmp_path: Path) -> None:
    made = [
        Made(f"p{n}", bpm=100 + 2 * n, metre=4, seconds=7.0, piece=f"p{n}", joints=n % 3 != 0)
        for n in range(8)
    ]
    config = PipelineConfig(bars=2, batch_size=4, margin_seconds=1.5)
    corpus = write_corpus(tmp_path, made)
    reader = ClipReader(corpus, "train", config, negatives=ALL)
    count = 0
    for clips in reader:
        for clip in clips:
            for negative in clip.negatives:
                source = clips[negative.source]
                assert source.pair.name == clip.pair.name or negative.kind == "other"
                motion = bent(negative, source.motion)
                assert motion.seconds == pytest.approx(clip.seconds, abs=1 / config.fps)
                count += 1
    assert count > 10

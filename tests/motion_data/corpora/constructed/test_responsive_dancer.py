"""The dancer of the music: a body as the other, and each of its rules seen in the motion."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.constructed import responsive
from motion_data.corpora.constructed.dancer import STYLES, Follows, dance, take_name
from motion_data.corpora.constructed.music_cues import CUE_RATE, VOICES, MusicCues, cues_from_notes
from motion_data.corpora.constructed.music_steps import (
    Habits,
    choose_figures,
    draw_habits,
    nearest_onset,
    section_character,
)
from motion_data.corpora.constructed.plan import (
    from_provenance,
    make_arrangement,
    make_motion,
    plan_pair,
    to_provenance,
)
from motion_data.corpora.constructed.responsive import dance_to_music, keep_strongest
from motion_data.corpora.constructed.step_patterns import SUITS
from motion_data.errors import DataError
from motion_data.motion import Motion
from motion_data.skeleton import INDEX
from motionbeat_upstream.tracking.grid import Grid, regular_grid
from recipes.dance_metrics.music_response import TakeCells, cells_of, response
from tests.motion_data.corpora.constructed.test_constructed_dancer import (
    FPS,
    assert_a_body,
    assert_planted,
    grids,
    rng,
)

Array = NDArray[np.float64]

HABITS = Habits(
    late=0.0,
    left_handed=False,
    tiring=0.0,
    steadiness=0.0,
    attention=0.9,
    pull=1.0,
    tapping=0.0,
    dynamics=1.0,
    answering=1.0,
    gesturing=0.0,
    clapping=0.0,
)
"""Of one who does only what is heard."""


def strokes(times: Array | list[float], strength: float = 1.0) -> Array:
    return np.array([[time, strength] for time in times]).reshape(-1, 2)


def cues(seconds: float, loudness: float = 0.8, legato: float = 0.5, **given: Array) -> MusicCues:
    """Cues from 0 s on: strokes by voice, of a constant loudness."""
    frames = round(seconds * CUE_RATE)
    sections, breaks = given.pop("sections", np.zeros(0)), given.pop("breaks", np.zeros((0, 2)))
    return MusicCues(
        {voice: given.get(voice, np.zeros((0, 2))) for voice in VOICES},
        0.0,
        np.full(frames, loudness),
        np.full(frames, legato),
        sections,
        breaks,
    )


@st.composite
def any_cues(draw: st.DrawFn) -> MusicCues:
    random = rng(draw(st.integers(0, 10**6)))
    played = {
        voice: np.stack(
            [np.sort(random.uniform(0, 6, count)), random.uniform(0.05, 1, count)],
            axis=1,
        )
        for voice in VOICES
        for count in [int(random.integers(0, 60))]
    }
    begin = random.uniform(0, 4)
    made = cues(
        6.0,
        sections=np.sort(random.uniform(0, 6, 2)),
        breaks=np.array([[begin, begin + random.uniform(0.7, 2)]])
        if random.random() < 0.5
        else np.zeros((0, 2)),
        **played,
    )
    return replace(made, loudness=random.random(120), legato=np.full(120, random.random()))


def danced(
    grid: Grid,
    heard: MusicCues,
    monkeypatch: pytest.MonkeyPatch,
    style: str = "march",
    seed: int = 0,
    energy: float = 0.6,
    **habits: float | bool,
) -> Motion:
    """A dance with given habits, 16 s long."""
    own = replace(HABITS, **habits)  # type: ignore[arg-type]
    monkeypatch.setattr(responsive, "draw_habits", lambda random: own)
    return dance_to_music(grid, heard, style, 16.0, energy, rng(seed))


def feet(motion: Motion) -> Array:
    return np.sort(np.concatenate(list(motion.pulses.values())))


def away(times: Array, others: Array) -> Array:
    distances: Array = np.abs(times[:, None] - others).min(axis=1)
    return distances


def hands(motion: Motion) -> Array:
    """(T, 2, 3) wrists against the pelvis."""
    joints = motion.joints.astype(np.float64)
    return joints[:, [INDEX["left_wrist"], INDEX["right_wrist"]]] - joints[:, :1]


class TestBody:
    @settings(max_examples=30, deadline=None)
    @given(grids(), any_cues(), st.floats(0, 1), st.integers(0, 10**6))
    def test_is_one_on_any_grid_to_any_music(
        self, drawn: tuple[Grid, str], heard: MusicCues, energy: float, seed: int
    ) -> None:
        grid, style = drawn
        motion = dance_to_music(grid, heard, style, 6.0, energy, rng(seed), FPS)
        assert_a_body(motion)
        assert_planted(motion)

    def test_a_long_dance_stays_on_the_floor_it_began_on(self) -> None:
        grid = regular_grid(180, 118, 4, 0.2)
        heard = cues(180, kick=strokes(list(grid.beats[::3])), snare=strokes(list(grid.beats[2::4])))
        motion = dance_to_music(grid, heard, "waltz" if grid.metre == 3 else "box", 180, 0.8, rng(2))
        assert np.abs(motion.joints[:, 0, [0, 2]]).max() < 4

    def test_what_cannot_be_is_refused(self) -> None:
        with pytest.raises(DataError, match="expected one of"):
            dance_to_music(regular_grid(5, 120, 4), cues(5), "waltz", 5, 0.5, rng(0))
        with pytest.raises(DataError, match="energy 2"):
            dance_to_music(regular_grid(5, 120, 4), cues(5), "salsa", 5, 2.0, rng(0))


class TestRules:
    def test_steps_are_made_where_something_low_sounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Kicks on beats drawn at random: steps come on them, and on no others."""
        grid = regular_grid(16, 100, 4, 0.2)
        for seed in range(5):
            struck = rng(seed).random(len(grid.beats)) < 0.5
            motion = danced(grid, cues(16, kick=strokes(list(grid.beats[struck]))), monkeypatch, seed=seed)
            steps = feet(motion)
            steps = steps[steps > 0.5]
            assert away(steps, grid.beats[struck]).max() < 0.08
            kicks = grid.beats[struck & (grid.beats > 0.5)]
            assert np.mean(away(kicks, steps) < 0.08) > 0.6  # the rest are where the figure has no step

    def test_strong_kicks_off_the_figure_are_tapped_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        grid = regular_grid(16, 70, 4, 0.2)
        off = grid.beats[1::4] + 0.3 * 60 / 70
        heard = cues(16, kick=strokes([*grid.beats, *off]))
        heard = replace(heard, onsets={**heard.onsets, "kick": strokes(sorted([*grid.beats, *off]))})
        on, without = (
            feet(danced(grid, heard, monkeypatch, "bounce", tapping=share)) for share in (1.0, 0.0)
        )
        inside = off[(off > 1) & (off < 15)]
        assert np.mean(away(inside, on) < 0.08) > np.mean(away(inside, without) < 0.08) + 0.3

    def test_nobody_moves_in_a_break(self, monkeypatch: pytest.MonkeyPatch) -> None:
        grid = regular_grid(16, 120, 4, 0.2)
        beats = grid.beats[(grid.beats < 6) | (grid.beats > 9)]
        heard = cues(
            16, kick=strokes(list(beats)), snare=strokes(list(beats[1::2])), breaks=np.array([[6.0, 9.0]])
        )
        motion = danced(grid, heard, monkeypatch, steadiness=1.0)
        steps = feet(motion)
        assert not ((steps > 6.05) & (steps < 8.9)).any()
        assert (steps > 9).sum() > 5
        speed = np.linalg.norm(np.diff(motion.joints.astype(float), axis=0), axis=-1).mean(axis=1) * FPS
        times = np.arange(len(speed)) / FPS
        rests, dances = speed[(times > 7) & (times < 8.3)], speed[(times > 1) & (times < 5)]
        assert rests.max() < 0.15 * dances.mean()

    def test_amplitude_follows_loudness(self, monkeypatch: pytest.MonkeyPatch) -> None:
        grid = regular_grid(16, 110, 4, 0.2)
        heard = cues(16, kick=strokes(list(grid.beats)), snare=strokes(list(grid.beats[1::2])))
        loudness = np.where(np.arange(len(heard.loudness)) < 160, 0.9, 0.4)
        ratios = []
        for seed in range(4):
            motion = danced(grid, replace(heard, loudness=loudness), monkeypatch, seed=seed)
            speed = np.linalg.norm(np.diff(hands(motion), axis=0), axis=-1).mean(axis=1)
            ratios.append(speed[60:420].mean() / speed[540:].mean())
        assert np.median(ratios) > 1.3

    def test_hands_meet_on_the_snare_where_it_is_clapped_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        grid = regular_grid(16, 100, 4, 0.2)
        struck = grid.beats[(grid.positions % 2 == 0) & (grid.beats > 1) & (grid.beats < 15)]
        heard = cues(16, kick=strokes(list(grid.beats)), snare=strokes(list(struck)))
        motion = danced(grid, heard, monkeypatch, clapping=1.0)
        apart = np.linalg.norm(np.diff(hands(motion), axis=1)[:, 0], axis=-1)
        on, between = (np.round((struck + shift) * FPS).astype(int) for shift in (0.0, 0.6))
        assert np.median(apart[on]) < 0.1
        assert np.median(apart[between[between < len(apart)]]) > 0.3

    def test_a_hand_reaches_its_accent_on_the_stroke(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Melody at random times: hands are fast before a stroke, and slow on it."""
        grid = regular_grid(16, 100, 4, 0.2)
        times = np.cumsum(rng(1).uniform(0.9, 1.6, 11)) + 0.5
        heard = cues(16, kick=strokes(list(grid.beats)), melody=strokes(list(times[times < 15])))
        motion = danced(grid, heard, monkeypatch, "side_touch", gesturing=1.0)
        speed = np.linalg.norm(np.diff(hands(motion), axis=0), axis=-1).max(axis=1) * FPS
        at = np.round(times[times < 15] * FPS).astype(int)
        assert np.median(speed[at - 8]) > 3 * np.median(speed[at])

    def test_the_leading_hand_does_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        grid = regular_grid(16, 100, 4, 0.2)
        heard = cues(16, kick=strokes(list(grid.beats)), melody=strokes(list(grid.beats[::2] + 0.3)))
        for left_handed in (True, False):
            motion = danced(grid, heard, monkeypatch, gesturing=1.0, left_handed=left_handed)
            moved = np.linalg.norm(np.diff(hands(motion), axis=0), axis=-1).sum(axis=0)
            assert (moved[0] > 1.2 * moved[1]) == left_handed
            assert (moved[1] > 1.2 * moved[0]) != left_handed

    @settings(max_examples=8, deadline=None)
    @given(st.floats(0.02, 0.08), st.integers(0, 1000))
    def test_a_late_dancer_is_late(self, late: float, seed: int) -> None:
        grid = regular_grid(16, 100, 4, 0.2)
        heard = cues(16, kick=strokes(list(grid.beats)))
        with pytest.MonkeyPatch.context() as patched:
            on_time, behind = (
                feet(danced(grid, heard, patched, seed=seed, late=share)) for share in (0.0, late)
            )
        # A step near either end may be in one dance alone.
        nearest = behind[np.abs(on_time[:, None] - behind).argmin(axis=1)]
        assert np.median(nearest - on_time) == pytest.approx(late, abs=0.025)

    def test_a_tired_dancer_does_less_and_less(self, monkeypatch: pytest.MonkeyPatch) -> None:
        grid = regular_grid(16, 110, 4, 0.2)
        heard = cues(16, kick=strokes(list(grid.beats)), snare=strokes(list(grid.beats[1::2])))

        def ratio(tiring: float) -> float:
            both = []
            for seed in range(4):
                motion = danced(grid, heard, monkeypatch, seed=seed, tiring=tiring)
                speed = np.linalg.norm(np.diff(hands(motion), axis=0), axis=-1).mean(axis=1)
                both.append(speed[: len(speed) // 3].mean() / speed[-len(speed) // 3 :].mean())
            return float(np.median(both))

        assert ratio(0.6) > 1.2 * ratio(0.0)

    def test_each_section_has_a_figure_of_its_own(self) -> None:
        grid = regular_grid(32, 120, 4)
        heard = cues(32, kick=strokes(list(grid.beats)), sections=grid.downbeats[[4, 8, 12]])
        for seed in range(5):
            figures = choose_figures(grid, heard, "box", None, 0.5, rng(seed))
            assert [figure.first_bar for figure in figures] == [0, 4, 8, 12]
            assert all(before.pattern is not after.pattern for before, after in pairwise(figures))

    def test_characters_are_what_they_are_called(self) -> None:
        grid = regular_grid(16, 140, 4)
        beats, positions, half = grid.beats, grid.positions, 30 / 140

        def of(**voices: Array | list[float]) -> frozenset[str]:
            played = {voice: strokes(list(times)) for voice, times in voices.items()}
            return section_character(cues(16, 0.8, 0.5, **played), grid, 0.0, 16.0)

        assert "half-time" in of(kick=beats[positions == 1], snare=beats[positions == 3])
        assert "half-time" not in of(kick=beats[positions == 1], snare=beats[positions % 2 == 0])
        assert "driving" in of(kick=beats)
        assert "driving" not in of(kick=beats[::2])
        assert "off-beat" in of(kick=beats, hat=beats + half)
        assert "off-beat" not in of(kick=beats, hat=beats)
        assert "syncopated" in of(kick=beats[::2] + half)
        assert "two-beat" in of(bass=beats[positions % 2 == 1], chords=beats[positions % 2 == 0])
        assert "calm" in of(melody=beats[::2])

    def test_dancers_differ(self) -> None:
        habits = [draw_habits(rng(seed)) for seed in range(400)]
        late = np.array([one.late for one in habits])
        assert 0.18 < (late > 0.015).mean() < 0.32
        assert late.max() < 0.08
        assert 0.08 < np.mean([one.left_handed for one in habits]) < 0.21
        assert 0.13 < np.mean([one.tiring > 0 for one in habits]) < 0.27


@given(st.integers(0, 10**6), st.floats(0.05, 1.0))
def test_spaced_strokes_are_the_strongest_and_leave_no_room(seed: int, gap: float) -> None:
    random = rng(seed)
    given = np.stack([np.sort(random.uniform(0, 10, 40)), random.random(40)], axis=1)
    kept = keep_strongest(given, gap)
    assert (np.diff(kept[:, 0]) >= gap).all()
    assert given[given[:, 1].argmax()] in kept
    for time, strength in given:
        near = kept[np.abs(kept[:, 0] - time) < gap]
        assert near[:, 1].max() >= strength


@given(st.integers(0, 10**6))
def test_the_nearest_stroke_is_the_nearest(seed: int) -> None:
    random = rng(seed)
    given = np.stack([np.sort(random.uniform(0, 10, 7)), random.uniform(0.1, 1, 7)], axis=1)
    times = random.uniform(-1, 11, 30)
    strength, at = nearest_onset(given, times, 0.5)
    for time, found, when in zip(times, strength, at, strict=True):
        distance = np.abs(given[:, 0] - time)
        if distance.min() > 0.5:
            assert (found, when) == (0, time)
        else:
            assert (when, found) == tuple(given[distance.argmin()])


class TestPlans:
    def test_a_plan_from_before_the_choice_moves_as_it_did(self) -> None:
        for index in range(4):
            drawn = plan_pair(0, index, {}, 6.0, None, follows="beats")
            stored = {key: value for key, value in to_provenance(drawn).items() if key != "follows"}
            plan = from_provenance(stored, "here")
            arrangement = make_arrangement(plan)
            old = dance(arrangement.grid, plan.dance, 6.0, arrangement.energy, rng(plan.dancer), 60.0)
            assert (make_motion(plan, arrangement).joints == old.joints).all()
            assert plan.take_name == take_name(plan.dance, plan.dancer)

    def test_a_pair_is_a_function_of_seed_and_index(self) -> None:
        one, two = (plan_pair(3, 8, {}, 6.0, None) for _ in range(2))
        assert one.follows == "music"
        joints = [make_motion(plan, make_arrangement(plan)).joints for plan in (one, two)]
        assert (joints[0] == joints[1]).all()
        beats = replace(one, follows="beats")
        assert beats.take_name != one.take_name
        assert np.abs(make_motion(beats, make_arrangement(beats)).joints - joints[0]).max() > 0.05

    def test_another_word_is_refused(self) -> None:
        stored = to_provenance(plan_pair(0, 0, {}, 6.0, None))
        with pytest.raises(DataError, match="follows 'nobody'; expected beats or music"):
            from_provenance({**stored, "follows": "nobody"}, "here")


class TestResponse:
    """What the motion tells of the sound beyond the grid."""

    @pytest.fixture(scope="class")
    def takes(self) -> dict[Follows, list[TakeCells]]:
        found: dict[Follows, list[TakeCells]] = {"beats": [], "music": []}
        for index in range(120):  # with half of them, chance is as large as what loudness leaves in the body
            plan = plan_pair(11, index, {}, 40.0, None)
            arrangement = make_arrangement(plan)
            cues_heard = cues_from_notes(arrangement)
            for follows, into in found.items():
                motion = make_motion(replace(plan, follows=follows), arrangement)
                cells = cells_of(motion, arrangement.grid, cues_heard)
                if cells is not None:
                    into.append(cells)
        return found

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("motion", "sound"),
        [("feet", "kick"), ("feet", "low"), ("hands", "snare"), ("hands", "accents"), ("body", "loudness")],
    )
    def test_only_the_dancer_of_the_music_tells_it(
        self, takes: dict[Follows, list[TakeCells]], motion: str, sound: str
    ) -> None:
        new, old = (response(takes[key], motion, sound, rng(0)) for key in ("music", "beats"))
        print(motion, sound, f"{new.excess:.5f} p {new.p:.4f}; before {old.excess:.5f} p {old.p:.4f}")
        assert new.p < 0.01
        assert old.p > 0.01

    def test_the_estimate_finds_what_is_there_and_no_more(self) -> None:
        random = rng(4)
        heard = [random.random((12, 8)) < 0.5 for _ in range(40)]
        for share, least, most in ((0.0, -0.01, 0.01), (0.6, 0.1, 0.4)):
            takes = [
                TakeCells(
                    {"feet": np.where(random.random(y.shape) < share, y, random.random(y.shape) < 0.5)},
                    {"kick": y},
                )
                for y in heard
            ]
            found = response(takes, "feet", "kick", random)
            assert least < found.excess < most
            assert (found.p < 0.01) == (share > 0)

    def test_what_the_grid_says_is_not_counted(self) -> None:
        """Both follow the bar, the motion each second one as well: nothing is left given the grid."""
        bar = np.tile(np.array([True, False, True, False]), (12, 1))
        second = (np.arange(12) % 2 == 0)[:, None] & np.ones((1, 4), dtype=bool)
        takes = [TakeCells({"feet": bar & second}, {"kick": bar}) for _ in range(10)]
        assert response(takes, "feet", "kick", rng(0)).bits == 0


def test_every_style_of_every_metre_is_danced_to_music() -> None:
    for metre, styles in STYLES.items():
        grid = regular_grid(8, 110, metre, 0.2)
        heard = cues(8, kick=strokes(list(grid.downbeats)), snare=strokes(list(grid.beats[1::2])))
        for style in styles:
            motion = dance_to_music(grid, heard, style, 8, 0.5, rng(1))
            assert len(feet(motion)) > 4


def test_suits_name_known_figures() -> None:
    known = {style for styles in STYLES.values() for style in styles}
    assert {style for styles in SUITS.values() for style in styles} <= known

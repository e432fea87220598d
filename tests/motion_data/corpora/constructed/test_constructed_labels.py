"""Labels of constructed pairs: notes as they are played, chords, key and sections on the bars' own times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data.corpora.constructed.arrangement import MAX_TIMING_ERROR_SECONDS, Arrangement
from motion_data.corpora.constructed.form import arrangement_labels
from motion_data.corpora.constructed.plan import BEATLESS, Mix, make_arrangement, plan_pair
from motion_data.corpora.constructed.preparing import make_pair
from motion_data.corpora.constructed.surroundings import MIN_AUDIBLE_GAIN, music_gain
from motion_data.labels import CHORD_TONES, KINDS, MODE_STEPS, QUALITIES, SECTIONS, drum_classes
from motion_data.loading import load_pair
from motion_data.manifest import read_corpus, write_manifest
from motion_data.sharding import write_shards
from motion_data.soundfont import MAX_PITCH, MIN_PITCH

SECONDS = 8.0


def piece(index: int, seconds: float = SECONDS) -> Arrangement:
    return make_arrangement(plan_pair(3, index, {}, seconds, None))


def assert_on_beats(times: NDArray[np.float64], arrangement: Arrangement, downbeats: bool = False) -> None:
    """Of times between the first and last beat: each is a beat, or a downbeat."""
    beats = arrangement.grid.beats
    inside = times[(times >= beats[0]) & (times <= beats[-1])]
    assert np.isin(inside, arrangement.grid.downbeats if downbeats else beats).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_notes_are_those_that_are_played(index: int) -> None:
    arrangement = piece(index)
    labels = arrangement_labels(arrangement)
    assert labels.events.keys() == KINDS.keys()
    for number, part in enumerate(arrangement.parts):
        start, length, pitch, velocity = part.notes.T
        ends = np.clip(np.stack([start, start + length]), 0, SECONDS)
        heard = (
            np.maximum(*(music_gain(arrangement.surroundings, SECONDS, end) for end in ends))
            >= MIN_AUDIBLE_GAIN
        )
        kept = (start < SECONDS) & (start + length > 0) & heard
        if part.drums:
            rows = labels.events["drums"]
            assert np.array_equal(rows[:, 2], drum_classes(pitch[kept]))
        else:
            rows = labels.events["notes"]
            rows = rows[rows[:, 5] == number]
            assert set(rows[:, 4]) <= {part.program}
            assert np.array_equal(rows[:, 2] % 12, pitch[kept] % 12)
            assert (rows[:, 2] >= MIN_PITCH).all()
            assert (rows[:, 2] <= MAX_PITCH).all()
        assert np.array_equal(rows[:, 0], start[kept])
        assert np.allclose(rows[:, 1], (start + length)[kept])
        assert np.array_equal(rows[:, 3], np.round(velocity[kept]))
    assert len(labels.events["notes"]) + len(labels.events["drums"]) > 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_chords_change_on_downbeats_and_hold_what_is_struck(index: int) -> None:
    arrangement = piece(index)
    labels = arrangement_labels(arrangement)
    chords = labels.events["chords"]
    assert (chords[1:, 0] >= chords[:-1, 1]).all()
    # A chord is cut off by a break, which begins on any beat.
    assert_on_beats(chords[:, 1], arrangement)
    named = chords[:, 3] != QUALITIES.index("none")
    assert_on_beats(chords[~named, 0], arrangement)
    assert_on_beats(chords[named, 0], arrangement, downbeats=True)
    roles = {part.role for part in arrangement.parts}
    if not len(labels.events["key"]):
        assert roles == {"drums"}
        assert set(chords[:, 3]) == {QUALITIES.index("none")}
    if roles == {"drums", "bass"}:
        assert QUALITIES.index("maj") not in chords[:, 3]
    for part in arrangement.parts:
        if part.role != "chords":
            continue
        for start, _, pitch, _ in part.notes[part.notes[:, 0] >= 0].tolist():
            # A player may be early or late, so by a change of chords both are right.
            near = chords[
                (chords[:, 0] <= start + MAX_TIMING_ERROR_SECONDS)
                & (chords[:, 1] > start - 3 * MAX_TIMING_ERROR_SECONDS)
            ]
            tones = {
                (root + step) % 12
                for root, quality in near[:, 2:].astype(int).tolist()
                for step in CHORD_TONES[QUALITIES[quality]]
            }
            assert pitch % 12 in tones


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_the_key_holds_the_chords_and_sections_follow_one_another(index: int) -> None:
    arrangement = piece(index)
    labels = arrangement_labels(arrangement)
    for begin, end, tonic, mode in labels.events["key"].tolist():
        assert begin <= arrangement.surroundings.start
        assert end >= min(SECONDS, arrangement.surroundings.stop)
        scale = {(int(tonic) + step) % 12 for step in list(MODE_STEPS.values())[int(mode)]}
        for root, quality in labels.events["chords"][:, 2:].astype(int).tolist():
            assert {(root + step) % 12 for step in CHORD_TONES[QUALITIES[quality]]} <= scale
    sections = labels.events["sections"]
    assert sections[0, 0] <= 0
    assert sections[-1, 1] >= SECONDS
    assert np.array_equal(sections[1:, 0], sections[:-1, 1])
    kinds = [SECTIONS[kind] for kind in sections[:, 2].astype(int)]
    assert_on_beats(sections[:, 0], arrangement)
    plain = np.array([kind not in ("break", "silence", "applause") for kind in kinds])
    assert_on_beats(sections[plain, 0], arrangement, downbeats=True)
    around = arrangement.surroundings
    assert (kinds[0] == "silence") == (around.start > 0)
    assert (kinds[-1] in ("silence", "applause")) == (around.stop < SECONDS)


def test_a_thinned_section_lacks_a_player() -> None:
    found = 0
    for index in range(40):
        arrangement = piece(index, 40.0)
        for begin, end, kind in arrangement_labels(arrangement).events["sections"].tolist():
            # A part that rests has notes in none of the bars; beyond the pair nothing is kept.
            inside = [
                (
                    (part.notes[:, 0] > begin + MAX_TIMING_ERROR_SECONDS)
                    & (part.notes[:, 0] < end - MAX_TIMING_ERROR_SECONDS)
                ).any()
                for part in arrangement.parts
            ]
            if kind == SECTIONS.index("thinned") and begin > 0 and end < 40.0:
                found += 1
                assert not all(inside)
    assert found >= 10


@pytest.mark.parametrize("index", range(8))
def test_of_a_pair_without_music_it_is_known_that_nothing_sounds(index: int) -> None:
    plan = plan_pair(0, index, {}, 4.0, None, Mix({BEATLESS: 1.0}))
    events = load_pair(make_pair(plan), ".").labels.events
    assert not len(events["notes"]) + len(events["drums"]) + len(events["key"])
    assert SECTIONS[int(events["sections"][0, 2])] == plan.style
    assert QUALITIES[int(events["chords"][0, 3])] == "none"


def test_labels_come_with_a_pair_and_through_shards(tmp_path_factory: pytest.TempPathFactory) -> None:
    pairs = [make_pair(plan_pair(0, index, {}, 4.0, None)) for index in (0, 1, 4, 9)]
    folder = tmp_path_factory.mktemp("corpus")
    corpus = write_manifest(folder, pairs, "constructed", {})
    shards = read_corpus(write_shards(corpus, tmp_path_factory.mktemp("shards"), 2).folder)
    for pair, there in zip(corpus.pairs, shards.pairs, strict=True):
        labels = load_pair(pair, folder).labels
        again = load_pair(there, shards.folder).labels
        assert again.events.keys() == labels.events.keys() == KINDS.keys()
        for kind, rows in labels.events.items():
            assert np.array_equal(rows, again.events[kind])

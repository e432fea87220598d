"""Loaded pairs: their sound, read whole or piece by piece, at any speed, with motion, grid and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.errors import DataError
from motion_data.labels import Labels
from motion_data.loading import LoadedPair, load_pair, to_common_skeleton
from motion_data.manifest import Corpus
from motion_data.motion import Motion
from motion_data.pipeline.pair_cache import PairCache
from motion_data.skeleton import JOINTS
from motion_data.stages import measure_stages
from tests.made_corpus import Made, write_corpus
from tests.random_labels import labels


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    made = [Made("early", motion_start=-0.3), Made("late", motion_start=0.2, fps=59.94), Made("x", bpm=None)]
    return write_corpus(tmp_path_factory.mktemp("corpus"), made)


def test_sound_in_memory_is_that_in_the_file(corpus: Corpus) -> None:
    for pair in corpus.pairs:
        whole = load_pair(pair, corpus.folder)
        assert pair.audio is not None
        there = replace(pair.audio, path=str(corpus.folder / pair.audio.path))
        apart = load_pair(pair, corpus.folder, there)
        assert torch.equal(whole.wav, apart.wav)
        assert whole.seconds == apart.seconds == pair.seconds
        for start, stop in ((0, 500), (16_000, 31_111), (90_000, 96_000)):
            assert torch.equal(whole.samples(start, stop), apart.samples(start, stop))
            assert torch.equal(whole.samples(start, stop), whole.wav[start:stop])


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_all_that_belongs_to_a_pair_is_played_at_one_speed(corpus: Corpus, speed: float) -> None:
    notes = Labels({"drums": np.array([[1.0, 1.5, 0.0, 90.0]])})
    for pair in corpus.pairs:
        loaded = replace(load_pair(pair, corpus.folder), labels=notes)
        played = loaded.at_rate(50.0, speed)
        assert played.seconds == loaded.seconds / speed
        assert played.overlap == pytest.approx([time / speed for time in loaded.overlap])
        assert played.motion.start == loaded.motion.start / speed
        if loaded.grid is not None and played.grid is not None:
            assert np.array_equal(played.grid.beats, loaded.grid.beats / speed)
        assert played.labels.events["drums"].tolist() == [[1.0 / speed, 1.5 / speed, 0.0, 90.0]]
        # The sound is a ramp that tells the time of the pair.
        samples = played.samples(16_000, 48_000)
        assert len(samples) == 32_000
        quiet = torch.where(samples - samples.median() > 0.1, torch.nan, samples)
        time = speed * (1.0 + torch.arange(32_000) / 16_000)
        assert float((quiet * 120 - time).nanmedian().abs()) < 0.03
        assert len(played.wav) == round(played.seconds * 16_000)


def test_another_frame_rate_does_not_lengthen_what_is_shared(corpus: Corpus) -> None:
    for pair in corpus.pairs:
        loaded = load_pair(pair, corpus.folder)
        slower = loaded.at_rate(25.0)
        assert slower.motion.seconds >= loaded.motion.seconds
        assert slower.overlap == loaded.overlap
        assert slower.at_rate(25.0, 2.0).overlap == pytest.approx([time / 2 for time in loaded.overlap])


def test_samples_that_are_no_numbers_are_refused(corpus: Corpus) -> None:
    loaded = load_pair(corpus.pairs[0], corpus.folder)
    wav = loaded.wav.clone()
    wav[20_000] = torch.nan
    broken = replace(loaded, sound=wav)
    assert len(broken.samples(0, 20_000)) == 20_000
    with pytest.raises(DataError, match="NaN or infinite"):
        broken.samples(0, 20_001)


def test_joints_are_brought_into_the_common_order() -> None:
    joints = np.random.default_rng(0).normal(size=(5, 24, 3))
    names = (*reversed(JOINTS), "tail", "nose")
    motion = to_common_skeleton(Motion(30.0, names, joints), "a")
    assert motion.names == JOINTS
    assert np.array_equal(motion.joints, joints[:, 21::-1].astype(np.float32))
    partial = Motion(30.0, JOINTS, joints[:, :22], 0.0, joints[:, :3])
    assert to_common_skeleton(partial, "a").rotations is None
    whole = Motion(30.0, JOINTS, joints[:, :22], 0.0, joints[:, :22])
    assert to_common_skeleton(whole, "a") is whole
    with pytest.raises(DataError, match=r"a: the motion lacks the joints head, .*; prepare"):
        to_common_skeleton(Motion(30.0, JOINTS[:15], joints[:, :15]), "a")


def test_a_cache_loads_what_a_pair_is_once(corpus: Corpus) -> None:
    plain = PairCache(corpus.folder, corpus.pairs, 50.0, 1000.0)
    small = PairCache(corpus.folder, corpus.pairs, 50.0, 0.05)
    endless = PairCache(corpus.folder, None, 50.0, 1000.0)
    assert (plain.decodes_whole, small.decodes_whole, endless.decodes_whole) == (True, False, False)
    for pair in corpus.pairs:
        expected = load_pair(pair, corpus.folder).at_rate(50.0)
        for cache in (plain, small, endless):
            found = cache.load(pair)
            assert same(found, expected)
        assert plain.load(pair) is plain.load(pair)
        assert small.load(pair) is not small.load(pair)
        assert endless.load(pair) is endless.load(pair)


def same(one: LoadedPair, other: LoadedPair) -> bool:
    return (
        one.pair == other.pair
        and torch.equal(one.wav, other.wav)
        and np.array_equal(one.motion.joints, other.motion.joints)
        and one.overlap == other.overlap
    )


def test_stages_are_counted_while_they_are_measured(corpus: Corpus) -> None:
    load_pair(corpus.pairs[0], corpus.folder)
    with measure_stages() as stages, measure_stages() as both:
        load_pair(corpus.pairs[0], corpus.folder)
    load_pair(corpus.pairs[0], corpus.folder)
    assert dict(stages.calls) == dict(both.calls) == {"audio": 1, "motion": 1}
    assert stages.decoded_seconds == pytest.approx(corpus.pairs[0].seconds)
    assert min(stages.seconds.values()) > 0


@settings(max_examples=100, deadline=None)
@given(labels(), st.floats(0, 9), st.floats(0.1, 5), st.floats(0.5, 2))
def test_labels_are_cut_and_played_as_the_sound_is(
    whole: Labels, start: float, length: float, speed: float
) -> None:
    stop = start + length
    cut, faster = whole.between(start, stop), whole.at_speed(speed)
    assert cut.events.keys() == faster.events.keys() == whole.events.keys()
    for kind, rows in whole.events.items():
        expected = [
            (begin - start, end - start, *values)
            for begin, end, *values in rows.tolist()
            if begin < stop and (end > start or begin >= start)
        ]
        assert [tuple(row) for row in cut.events[kind].tolist()] == expected
        played = faster.events[kind]
        assert played[:, :2] * speed == pytest.approx(rows[:, :2])
        # The sound is resampled: its pitch rises with its speed, whatever a pitch is called.
        risen = 12 * np.log2(speed) if kind in ("notes", "chords", "key") else 0.0
        assert played[:, 2] == pytest.approx(rows[:, 2] + risen)
        assert np.array_equal(played[:, 3:], rows[:, 3:])


def test_a_file_that_is_gone_is_told(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; prepare the corpus again"):
        load_pair(corpus.pairs[0], tmp_path)

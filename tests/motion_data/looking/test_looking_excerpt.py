"""A stretch of a pair is the same whatever stretch it is cut from, and on a clock of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.errors import DataError
from motion_data.loading import LoadedPair, load_pair
from motion_data.looking.excerpt import ACCENT_BINS, cut_excerpt
from motion_data.manifest import Corpus
from motionbeat_upstream.tracking.bar_profile import bar_numbers
from tests.looking_pairs import make_corpus

SECONDS = 6.0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), SECONDS)


@pytest.fixture(scope="module")
def clip(corpus: Corpus) -> LoadedPair:
    return load_pair(corpus.pairs[0], corpus.folder)


@settings(deadline=None, max_examples=20)
@given(start=st.floats(0, 5.9), seconds=st.floats(0.05, 8))
def test_what_is_shown_does_not_depend_on_the_stretch(
    corpus: Corpus, clip: LoadedPair, start: float, seconds: float
) -> None:
    whole, part = (
        cut_excerpt(clip, corpus.folder, 0.0),
        cut_excerpt(clip, corpus.folder, start, seconds),
    )
    assert part.start == pytest.approx(start, abs=0.0051)
    assert part.stop == pytest.approx(min(part.start + seconds, SECONDS))
    first = round(part.start * 100)
    assert (part.onset == whole.onset[first : first + len(part.onset)]).all()
    assert (part.music_accents == whole.music_accents[first : first + len(part.onset)]).all()
    assert (part.motion_accents == whole.motion_accents[first : first + len(part.onset)]).all()
    inside = (whole.beats >= part.start) & (whole.beats < part.stop)
    assert part.beats + part.start == pytest.approx(whole.beats[inside])
    assert (part.bars == whole.bars[inside]).all()
    # Beats are half a second apart from 0 s on.
    under_way = int(np.floor(part.start * 2 + 1e-9))
    assert part.opening == (under_way // 4 + 1, under_way % 4 + 1)
    for limb, times in whole.pulses.items():
        shown = times[(times >= part.start) & (times < part.stop)]
        assert part.pulses[limb] + part.start == pytest.approx(shown)
    # Every frame of the stretch is there, where it stands.
    step = np.rint((part.times + part.start) * whole.fps).astype(int)
    assert (part.joints == whole.joints[step]).all()
    assert part.times[0] <= 1 / whole.fps
    assert (part.body_speed == whole.body_speed[step]).all()
    for spans in part.contacts.values():
        assert ((spans >= 0) & (spans <= part.seconds + 1e-9)).all()
        assert (spans[:, 0] < spans[:, 1]).all()


def test_a_bar_s_accents_are_shares(corpus: Corpus, clip: LoadedPair) -> None:
    excerpt = cut_excerpt(clip, corpus.folder)
    assert clip.grid is not None
    bins = ACCENT_BINS * clip.grid.metre
    times = (np.arange(len(excerpt.onset)) + 0.5) / 100
    # At 120 bpm a bin lasts 125 ms, so a whole bar's shares over 200 frames sum to 1.
    bar = bar_numbers(clip.grid, times, bins) == 2
    assert bar.sum() == 200
    for accents in (excerpt.music_accents, excerpt.motion_accents):
        assert accents[bar].sum() / 12.5 == pytest.approx(1, abs=0.05)
    # The clicks are on the beats, and so are the steps: a quarter of the mass on each.
    on_beat = np.floor(times / 0.125 + 0.5) % ACCENT_BINS == 0
    for accents in (excerpt.music_accents, excerpt.motion_accents):
        assert accents[bar & on_beat] == pytest.approx(0.25, abs=0.03)
        assert accents[bar & ~on_beat].max() < 0.03


def test_contacts_are_those_of_the_steps(corpus: Corpus, clip: LoadedPair) -> None:
    excerpt = cut_excerpt(clip, corpus.folder)
    for foot, pulses in excerpt.pulses.items():
        begins = excerpt.contacts[foot][:, 0]
        for pulse in pulses:
            assert np.abs(begins - pulse).min() < 0.05, (foot, pulse)
    assert set(excerpt.foot_speed) == {"left_foot", "right_foot"}


def test_steps_without_joints(corpus: Corpus) -> None:
    excerpt = cut_excerpt(load_pair(corpus.pairs[1], corpus.folder), corpus.folder)
    assert excerpt.joints.shape == (180, 0, 3)
    assert excerpt.contacts == excerpt.foot_speed == {}
    assert len(excerpt.body_speed) == 0
    assert len(excerpt.music_accents) == len(excerpt.motion_accents) == len(excerpt.onset) == 600


def test_music_that_goes_on_after_the_motion(corpus: Corpus, clip: LoadedPair) -> None:
    short = replace(clip.motion, joints=clip.motion.joints[:150], rotations=None)
    excerpt = cut_excerpt(replace(clip, motion=short), corpus.folder, 5.5)
    assert (excerpt.joints == short.joints[-1:]).all()
    assert excerpt.times == pytest.approx([149 / 30 - 5.5])


def test_without_a_grid(corpus: Corpus, clip: LoadedPair) -> None:
    excerpt = cut_excerpt(replace(clip, grid=None), corpus.folder)
    assert len(excerpt.beats) == len(excerpt.music_accents) == excerpt.metre == 0


def test_the_sound_keeps_its_rate_and_channels(corpus: Corpus, clip: LoadedPair, tmp_path: Path) -> None:
    excerpt = cut_excerpt(clip, corpus.folder, 1.0, 2.0)
    samples, rate = soundfile.read(corpus.folder / "clicks.wav", dtype="float32")
    assert excerpt.rate == rate == 22_050
    assert (excerpt.sound[:, 0] == samples[22_050 : 3 * 22_050]).all()


@pytest.mark.parametrize(("start", "seconds"), [(-0.5, None), (6.0, None), (1.0, 0.0), (1.0, -2.0)])
def test_a_stretch_that_is_not_there(
    corpus: Corpus, clip: LoadedPair, start: float, seconds: float | None
) -> None:
    with pytest.raises(DataError, match=r"pair 'made': a stretch from .* within the 6\.00 s of the pair"):
        cut_excerpt(clip, corpus.folder, start, seconds)

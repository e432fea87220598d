"""Labels in a picture: a row for each kind that is known, notes where the spectrogram is loud."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.labels import KINDS, QUALITIES, Labels
from motion_data.loading import load_pair
from motion_data.looking.excerpt import Excerpt, cut_excerpt
from motion_data.looking.figure import draw
from motion_data.looking.labelled import harmony_name, pitch_spectrogram
from motion_data.manifest import Corpus
from tests.looking_pairs import make_corpus
from tests.random_labels import labels


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def excerpt(corpus: Corpus, known: Labels, start: float = 0.0) -> Excerpt:
    pair = corpus.pairs[0]
    return cut_excerpt(replace(load_pair(pair, corpus.folder), labels=known), corpus.folder, start, 3.0)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(labels(6.0), st.sampled_from([0.0, 1.0]))
def test_there_is_a_row_for_each_kind_that_is_known(corpus: Corpus, known: Labels, start: float) -> None:
    shown = excerpt(corpus, known, start)
    assert shown.labels.events.keys() == known.events.keys()
    panels = [axes.get_ylabel() for axes in draw(shown).axes]
    assert ("notes" in panels) == ("notes" in known.events)
    assert ("drums" in panels) == ("drums" in known.events)
    form = bool({"chords", "sections"} & known.events.keys())
    assert panels.index("onset envelope") == form + ("notes" in known.events) + ("drums" in known.events)


def test_a_pair_without_labels_is_drawn_as_before(corpus: Corpus) -> None:
    assert draw(excerpt(corpus, Labels())).axes[0].get_ylabel() == "onset envelope"
    silent = Labels({kind: np.empty((0, 2 + len(names))) for kind, names in KINDS.items()})
    assert draw(excerpt(corpus, silent)).axes[0].get_ylabel() == "form"


@settings(max_examples=20, deadline=None)
@given(st.integers(33, 105), st.sampled_from([16_000, 44_100]))
def test_a_tone_is_loudest_at_its_own_pitch_and_time(pitch: int, rate: int) -> None:
    time = np.arange(2 * rate) / rate
    tone = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) * (time > 1)
    pitches = np.arange(24, 108, 0.25)
    level = pitch_spectrogram(tone.astype(np.float32), rate, pitches)
    assert level.shape == (len(pitches), 201)
    assert abs(pitches[level[:, 150].argmax()] - pitch) <= 0.5
    assert level[:, 60].max() < -40
    assert level.max() == 0


@pytest.mark.parametrize(
    ("root", "quality", "name"), [(9, "min7", "Am7"), (3, "maj", "E♭"), (0, "none", "–"), (7, "7", "G7")]
)
def test_chords_are_called_by_their_names(root: int, quality: str, name: str) -> None:
    assert harmony_name(root, QUALITIES.index(quality)) == name


def test_the_picture_of_a_labelled_pair_is_written(corpus: Corpus, tmp_path: Path) -> None:
    from motion_data.looking import draw as write

    rows = np.array([[0.2, 0.9, 60.0, 90.0, 0.0, 0.0], [1.0, 2.0, 64.0, 90.0, 24.0, 1.0]])
    write(tmp_path / "a.png", excerpt(corpus, Labels({"notes": rows})))
    assert (tmp_path / "a.png").stat().st_size > 20_000

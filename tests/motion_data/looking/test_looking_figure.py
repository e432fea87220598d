"""The picture of a pair: its rows, its numbers, no text upon other text."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from motion_data.loading import load_pair
from motion_data.looking.excerpt import Excerpt, cut_excerpt
from motion_data.looking.figure import MAX_POSES, draw, pose_times, write_figure
from motionbeat_upstream.commands.plot import ONSET
from tests.looking_pairs import make_corpus


def excerpt_of(folder: Path, which: int, seconds: float, bpm: float = 120.0) -> Excerpt:
    corpus = make_corpus(folder, seconds, bpm)
    return cut_excerpt(load_pair(corpus.pairs[which], corpus.folder), corpus.folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Excerpt:
    return excerpt_of(tmp_path_factory.mktemp("pair"), 0, 6.0)


@pytest.mark.parametrize(("which", "rows"), [(0, 6), (1, 3)])
def test_a_row_for_all_that_is_known(tmp_path: Path, which: int, rows: int) -> None:
    excerpt = excerpt_of(tmp_path, which, 6.0)
    panels = draw(excerpt).axes
    assert len(panels) == rows
    assert all(panel.get_xlim() == (0, 6) for panel in panels)
    bare = replace(excerpt, music_accents=np.empty(0), beats=np.empty(0), positions=np.empty(0, dtype=int))
    assert len(draw(bare).axes) == rows - 1


@given(metre=st.integers(0, 7), first=st.integers(0, 6), count=st.integers(0, 90), bpm=st.floats(40, 240))
@settings(max_examples=200, deadline=None)
def test_poses_stand_on_downbeats_and_never_too_close(
    pair: Excerpt, metre: int, first: int, count: int, bpm: float
) -> None:
    beats = np.arange(count if metre else 0) * 60 / bpm
    positions = (np.arange(len(beats)) + first) % max(1, metre) + 1
    seconds = max(1.0, count * 60 / bpm)
    times = np.arange(round(30 * seconds)) / 30
    excerpt = replace(pair, beats=beats, positions=positions, metre=metre, seconds=seconds, times=times)
    found = pose_times(excerpt)
    assert 1 <= len(found) <= MAX_POSES
    assert found[0] >= 0
    assert found[-1] < seconds
    if len(beats) > 1 and len(found) > 1:
        assert np.isin(found, beats).all()
        assert (positions[np.searchsorted(beats, found)] == 1).any() or not (positions == 1).any()
        assert np.ptp(np.diff(found)) < 1e-6


def drawn_texts(figure: Figure) -> list[Text]:
    """Every text that is seen; labels of ticks beyond an axis's limits exist without being drawn."""
    texts = figure.findobj(Text, include_self=False)
    for panel in figure.axes:
        for axis, limits in ((panel.xaxis, panel.get_xlim()), (panel.yaxis, panel.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not min(limits) <= tick.get_loc() <= max(limits):
                    texts = [text for text in texts if text not in (tick.label1, tick.label2)]
    return [
        text for text in texts if isinstance(text, Text) and text.get_visible() and text.get_text().strip()
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "seconds", "bpm"), [(0, 6.0, 120.0), (0, 1.2, 120.0), (1, 16.0, 190.0), (0, 200.0, 180.0)]
)
def test_no_text_upon_other_text(tmp_path: Path, which: int, seconds: float, bpm: float) -> None:
    figure = draw(excerpt_of(tmp_path, which, seconds, bpm))
    figure.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    assert len(boxes) > 8
    for (one, box), (other, following) in itertools.combinations(boxes, 2):
        assert not box.padded(-1).overlaps(following.padded(-1)), (one, other)


@pytest.mark.slow
def test_a_name_is_no_formula(tmp_path: Path) -> None:
    excerpt = excerpt_of(tmp_path, 0, 2.0)
    name = "a$b_{c}$ " + 100 * "long "
    figure = draw(replace(excerpt, pair=replace(excerpt.pair, name=name)))
    figure.draw_without_rendering()


@pytest.mark.slow
def test_the_file(tmp_path: Path) -> None:
    write_figure(tmp_path / "a.png", excerpt_of(tmp_path / "corpus", 0, 6.0))
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    orange = (np.abs(pixels - np.round(255 * np.array(to_rgb(ONSET)))) < 3).all(-1)
    assert orange.sum() > 5000
    assert not list(tmp_path.glob(".*"))

"""Notes played through a soundfont: kept to what symusic plays rightly, the rest refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion_data import soundfont
from motion_data.corpora.constructed.styles import PROGRAMS
from motion_data.errors import DataError
from motion_data.soundfont import (
    MAX_PITCH,
    MIN_PITCH,
    PEAK_AMPLITUDE,
    check_soundfont,
    default_soundfont,
    make_score,
    render_score,
)
from motionbeat_upstream.config import SAMPLE_RATE


def notes_at(times: list[float], pitches: list[int]) -> NDArray[np.float64]:
    """Notes of a quarter of a second."""
    return np.array([[time, 0.25, pitch, 90] for time, pitch in zip(times, pitches, strict=True)])


def in_ticks(pitches: list[int], drums: bool = False) -> symusic.Score:
    """A score of quarter notes at 120 a minute."""
    score = symusic.Score(480)
    score.tempos.append(symusic.Tempo(0, 120))
    track = symusic.Track("", 0, drums)
    for index, pitch in enumerate(pitches):
        track.notes.append(symusic.Note(480 * index, 240, pitch, 90))
    score.tracks.append(track)
    return score


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 127), min_size=1, max_size=4), st.booleans())
def test_pitches_out_of_range_sound_octaves_away(pitches: list[int], ticks: bool) -> None:
    folded = [
        min(
            (at for at in range(MIN_PITCH, MAX_PITCH + 1) if (at - pitch) % 12 == 0),
            key=lambda at: abs(at - pitch),
        )
        for pitch in pitches
    ]

    def score(pitches: list[int]) -> symusic.Score:
        times = [0.5 * index for index in range(len(pitches))]
        return in_ticks(pitches) if ticks else make_score([("", 0, False, notes_at(times, pitches))])

    given_score = score(pitches)
    said = render_score(given_score, default_soundfont())
    assert np.array_equal(said, render_score(score(folded), default_soundfont()))
    assert [note.pitch for note in given_score.tracks[0].notes] == pitches


def test_drums_are_no_pitches() -> None:
    low, moved = in_ticks([27], drums=True), in_ticks([39], drums=True)
    assert not np.array_equal(
        render_score(low, default_soundfont()), render_score(moved, default_soundfont())
    )


def test_ticks_and_seconds_sound_alike() -> None:
    pitches = [60, 64, 67, 72]
    seconds = make_score([("", 0, False, notes_at([0, 0.5, 1, 1.5], pitches))])
    one, other = (render_score(score, default_soundfont()) for score in (in_ticks(pitches), seconds))
    np.testing.assert_allclose(one, other, atol=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 8), st.integers(2, 40))
def test_a_span_is_cut_out_exactly(begin: int, length: int) -> None:
    """Of a score of 2 s: also one that begins before its end and reaches beyond.

    An eighth of a second alone may lie where a note has died away.
    """
    score = in_ticks([60, 64, 67, 72])
    whole = render_score(score, default_soundfont())
    start, count = begin * SAMPLE_RATE // 8, length * SAMPLE_RATE // 8
    span = render_score(score, default_soundfont(), begin / 8, (begin + length) / 8)
    assert span.shape == (count,)
    assert np.abs(span).max() == pytest.approx(PEAK_AMPLITUDE, abs=1e-5)
    # The resampler hears the cut at the end a few samples ahead.
    expected = np.pad(whole, (0, start + count))[start : start + count][:-100]
    expected = expected * (np.vdot(span[:-100], expected) / np.vdot(expected, expected))
    np.testing.assert_allclose(span[:-100], expected, atol=0.02)


@pytest.mark.parametrize(("kits", "pitch"), [((16, 0), 36), ((24, 25), 38), ((0, 25), 39)])
def test_what_was_played_before_changes_nothing(kits: tuple[int, int], pitch: int) -> None:
    """Kits that share a sample."""
    notes = notes_at([0.0], [pitch])
    alone, after = (make_score([("", kit, True, notes)]) for kit in kits)
    first = [render_score(score, default_soundfont()) for score in (alone, after)]
    second = [render_score(score, default_soundfont()) for score in (after, alone)]
    assert all(np.array_equal(one, other) for one, other in zip(first, second[::-1], strict=True))


def test_nothing_to_hear_is_refused() -> None:
    with pytest.raises(DataError, match="the score has no notes"):
        render_score(in_ticks([]), default_soundfont())
    with pytest.raises(DataError, match=r"the result is silent \(programs: flute 73\)"):
        render_score(
            make_score([("flute", 73, False, notes_at([0.0], [60]))]), default_soundfont(), 20.0, 21.0
        )


@pytest.mark.slow
def test_programs_return_and_repeat_at_every_pitch() -> None:
    """symusic hangs or reads past samples at some programs and pitches: not at those that are used."""
    check_soundfont(default_soundfont(), PROGRAMS)


def hang(soundfont: Path, program: int) -> str:
    time.sleep(60)
    return ""


def crash(soundfont: Path, program: int) -> str:
    os._exit(11)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (hang, "does not return from GM program 0"),
        (crash, "crashes on GM program 0"),
        (lambda soundfont, program: "nothing sounds" if program == 40 else "", "nothing sounds; use another"),
    ],
)
def test_a_soundfont_that_cannot_be_played_is_refused(
    fault: Callable[[Path, int], str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundfont, "find_program_error", fault)
    with pytest.raises(DataError, match=message):
        check_soundfont(default_soundfont(), PROGRAMS, patience=0.3)


def test_programs_that_are_not_played_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfont, "find_program_error", lambda soundfont, program: f"program {program}")
    with pytest.raises(DataError, match="program 7"):
        check_soundfont(default_soundfont(), {9, 7})
    check_soundfont(default_soundfont(), ())


def test_a_soundfont_that_is_none_is_refused(tmp_path: Path) -> None:
    score = in_ticks([60])
    with pytest.raises(DataError, match="not readable"):
        render_score(score, tmp_path / "none.sf2")
    (tmp_path / "text.sf2").write_text("no soundfont at all")
    with pytest.raises(DataError, match="expected a soundfont"):
        render_score(score, tmp_path / "text.sf2")
    (tmp_path / "cut.sf2").write_bytes(default_soundfont().read_bytes()[:2_000_000])
    with pytest.raises(DataError, match="damaged soundfont"):
        render_score(score, tmp_path / "cut.sf2")

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.beats_file import Beats, read_beats, write_beats
from motion_data.errors import DataError


@settings(deadline=None)
@given(
    gaps=st.lists(st.floats(0.001, 5), min_size=2, max_size=40),
    positions=st.lists(st.integers(0, 12), min_size=40, max_size=40),
)
def test_written_beats_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[float], positions: list[int]
) -> None:
    path = tmp_path_factory.mktemp("beats") / "a.beats"
    beats = Beats(np.cumsum(gaps), np.array(positions[: len(gaps)]))
    write_beats(path, beats)
    read = read_beats(path)
    np.testing.assert_allclose(read.times, beats.times, atol=5.1e-5)
    np.testing.assert_array_equal(read.positions, beats.positions)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.beats"]


@pytest.mark.parametrize(
    "text",
    [
        "0.5\t1\n1.0\t2\n1.5\t1\n",
        "0.5 1\r\n1.0    2\r\n1.5 1\r\n",
        "\ufeff# by hand\n\ntime\tposition\n0.5\t1.0\n1.0\t2.0  # late\n1.5\t1",
    ],
)
def test_what_the_field_hands_round_is_understood(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.beats"
    path.write_bytes(text.encode())
    beats = read_beats(path)
    np.testing.assert_allclose(beats.times, [0.5, 1.0, 1.5])
    np.testing.assert_array_equal(beats.positions, [1, 2, 1])
    np.testing.assert_allclose(beats.downbeats, [0.5, 1.5])
    assert beats.downbeats_known


def test_times_alone_leave_the_downbeats_unknown(tmp_path: Path) -> None:
    path = tmp_path / "a.beats"
    path.write_text("0.5\n1.0\n1.5\n")
    beats = read_beats(path)
    assert beats.positions.tolist() == [0, 0, 0]
    assert not beats.downbeats_known


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5\t1\n1.0\ttwo\n", "a.beats:2: expected a time"),
        ("0.5\t1\nhere\t2\n", "a.beats:2: expected a time"),
        ("0.5,1\n1.0,2\n", "a.beats:2: expected a time"),
        ("0.5\t1\t7\n", "a.beats:1: expected a time"),
        ("0.5\t1\n1.0\t1.5\n", "a.beats:2: the position in the bar must be a whole number"),
        ("0.5\t1\n1.0\t-1\n", "a.beats:2: the position"),
        ("0.5\t1\n1.0\tinf\n", "a.beats:2: the position"),
        ("0.5\t1\n1.0\t1e30\n", "a.beats:2: the position"),
        ("-0.5\t1\n", "contains 0 beats from 0 s on"),
        ("nan\t1\n", "a.beats:1: the time must be finite"),
        ("# c\n0.5\t1\n0.5\t2\n", "a.beats:3: beats must increase"),
        ("1.0\t1\n0.5\t2\n", "a.beats:2: beats must increase"),
        ("0.5\t1\n1.0\n", "a.beats:2: some lines have a position"),
        ("", "contains 0 beats"),
        ("0.5\t1\n", "contains 1 beats"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.beats"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_beats(path)
    assert said in str(error.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.beats").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not a text file"):
        read_beats(tmp_path / "a.beats")
    with pytest.raises(DataError, match="no such file"):
        read_beats(tmp_path / "b.beats")


def test_beats_before_the_audio_are_dropped_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.beats"
    path.write_text("-0.62\t3\n-0.02\t4\n0.58\t1\n1.18\t2\n")
    beats = read_beats(path)
    np.testing.assert_array_equal(beats.times, [0.58, 1.18])
    np.testing.assert_array_equal(beats.positions, [1, 2])
    assert caplog.messages == [f"{path}: 2 beat(s) before 0 s, the start of the audio, are dropped"]
    path.write_text("0.58\t1\n-0.02\t2\n1.18\t3\n")
    with pytest.raises(DataError, match=r"a\.beats:2: beats must increase, but -0\.02 s follows"):
        read_beats(path)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text("0123456789.-+einfa#\t\n ", max_size=60).map(str.encode))
def test_any_bytes_are_beats_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "a.beats"
    path.write_bytes(content)
    said = str(path)
    try:
        beats = read_beats(path)
        assert len(beats.times) == len(beats.positions) >= 2
        assert (np.diff(beats.times) > 0).all()
        assert beats.times[0] >= 0
    except DataError as error:
        said = str(error)
    assert str(path) in said
    assert "\n" not in said
